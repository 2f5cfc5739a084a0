//! A TCP proxy on loopback between a node and a server, which stalls, swallows or cuts what goes through it, each direction for
//! itself.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// Bytes that are passed on in one go.
const BUFFER_BYTES: usize = 64 << 10;

/// What becomes of bytes in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flow {
    /// They go through.
    #[default]
    Pass,
    /// They wait.
    Stall,
    /// They vanish. The connection is ended when others go through again: a stream with a hole is none.
    Swallow,
}

/// What becomes of connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mode {
    /// From the node to the server.
    pub up: Flow,
    /// From the server to the node.
    pub down: Flow,
    /// Connections are ended, and no new ones are taken.
    pub cut: bool,
}

/// A proxy.
pub struct Proxy {
    port: u16,
    mode: watch::Sender<Mode>,
    _listening: AbortOnDropHandle<()>,
}

impl Proxy {
    /// Starts one in front of the server on a port.
    ///
    /// # Errors
    /// If no port is free.
    pub async fn start(server: u16) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let (mode, modes) = watch::channel(Mode::default());
        let listening = tokio::spawn(async move {
            while let Ok((node, _)) = listener.accept().await {
                // Ended by dropping it, as by a server that is not there.
                if modes.borrow().cut {
                    continue;
                }
                tokio::spawn(connect(node, server, modes.clone()));
            }
        });
        Ok(Self { port, mode, _listening: AbortOnDropHandle::new(listening) })
    }

    /// Where the node connects to.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Treats what goes through from now on like this.
    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

async fn connect(node: TcpStream, server: u16, modes: watch::Receiver<Mode>) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await else { return };
    // Small messages are not to wait for each other here.
    let _ = (node.set_nodelay(true), server.set_nodelay(true));
    let ((from_node, to_node), (from_server, to_server)) = (node.into_split(), server.into_split());
    // When one direction ends, the other is dropped, and with it the connection.
    tokio::select! {
        () = pass(from_node, to_server, modes.clone(), |mode| mode.up) => {}
        () = pass(from_server, to_node, modes, |mode| mode.down) => {}
    }
}

async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut modes: watch::Receiver<Mode>,
    flow: impl Fn(&Mode) -> Flow,
) {
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut swallowed = false;
    loop {
        let read = tokio::select! {
            read = from.read(&mut buffer) => read,
            ended = modes.wait_for(|mode| mode.cut || swallowed && flow(mode) == Flow::Pass) => {
                drop(ended);
                return;
            }
        };
        let Ok(count @ 1..) = read else { return };
        let Ok(now) =
            modes.wait_for(|mode| mode.cut || flow(mode) != Flow::Stall).await.map(|m| *m)
        else {
            return;
        };
        if now.cut {
            return;
        }
        match flow(&now) {
            Flow::Swallow => swallowed = true,
            _ if swallowed => return,
            _ => {
                if to.write_all(&buffer[..count]).await.is_err() {
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_stalled_comes_later_and_what_is_swallowed_never() {
        let server = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let proxy = Proxy::start(server.local_addr().unwrap().port()).await.unwrap();
        let mut node = TcpStream::connect(("127.0.0.1", proxy.port)).await.unwrap();
        let (mut peer, _) = server.accept().await.unwrap();
        let mut byte = [0];
        proxy.set(Mode { up: Flow::Stall, ..Mode::default() });
        node.write_all(b"a").await.unwrap();
        // The other direction is open meanwhile.
        peer.write_all(b"b").await.unwrap();
        node.read_exact(&mut byte).await.unwrap();
        assert_eq!(byte, *b"b");
        proxy.set(Mode::default());
        peer.read_exact(&mut byte).await.unwrap();
        assert_eq!(byte, *b"a");
        proxy.set(Mode { up: Flow::Swallow, ..Mode::default() });
        node.write_all(b"c").await.unwrap();
        peer.write_all(b"d").await.unwrap();
        node.read_exact(&mut byte).await.unwrap();
        proxy.set(Mode::default());
        // Whether or not it was read in time: `c` never comes before the end.
        node.write_all(b"e").await.ok();
        drop(node);
        let mut rest = Vec::new();
        let _ = peer.read_to_end(&mut rest).await;
        assert!(rest.is_empty() || rest == b"ce", "{rest:?}");
    }
}
