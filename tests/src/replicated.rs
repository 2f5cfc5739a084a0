//! Three servers that keep three copies of every stream, of which the one that leads a stream can be killed.

use std::net::TcpListener;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::GetStreamErrorKind;
use async_nats::jetstream::stream::ClusterInfo;
use futures::future::try_join_all;
use millstream_log::server::{NatsServer, ServerOptions, SyncInterval};

use crate::broker::Broker;

const SERVERS: usize = 3;

/// Starts the servers.
pub(crate) async fn start() -> (NatsServer, Vec<NatsServer>) {
    // Held until all are known, so that no two are the same.
    let listeners = [(); SERVERS].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    let ports = listeners.map(|l| l.local_addr().expect("it is bound").port());
    let routes: Vec<String> =
        ports.iter().map(|port| format!("\"nats://127.0.0.1:{port}\"")).collect();
    let servers = ports.iter().enumerate().map(|(number, port)| {
        let extra = format!(
            "server_name: {}\ncluster {{ name: tests, no_advertise: true, listen: \"127.0.0.1:{port}\", routes: [{}] }}",
            name(number),
            routes.join(", ")
        );
        let sync_interval = SyncInterval::Always;
        NatsServer::start(ServerOptions { extra, sync_interval, ..ServerOptions::default() })
    });
    let mut servers = try_join_all(servers).await.expect("three nats-servers");
    let peers = servers.split_off(1);
    (servers.remove(0), peers)
}

fn name(number: usize) -> String {
    format!("server-{number}")
}

pub(crate) fn urls(server: &NatsServer, peers: &[NatsServer]) -> Vec<String> {
    std::iter::once(server).chain(peers).map(NatsServer::url).collect()
}

impl Broker {
    /// SIGKILL for the server that leads a stream. Returns when another one does; `work` goes on meanwhile. Then the killed one
    /// is started again, and waited for until it has caught up with every stream in `streams`. A stream that is removed
    /// meanwhile is not waited for; `false`: there is none, and nothing was killed.
    pub async fn lose_leader(&mut self, stream: &str, streams: &[&str]) -> bool {
        let leader = self.until(|| async {
            match self.cluster(stream).await? {
                Some(cluster) => cluster.leader.map(Some),
                None => Some(None),
            }
        });
        let Some(leader) = leader.await else { return false };
        let killed = (0..SERVERS).find(|number| name(*number) == leader).expect("one of ours");
        self.server_mut(killed).kill9();
        self.until(|| async {
            match self.cluster(stream).await? {
                Some(cluster) => cluster.leader.filter(|now| *now != leader).map(drop),
                None => Some(()),
            }
        })
        .await;
        self.server_mut(killed).restart().await.expect("the server starts again");
        for stream in streams {
            self.until(|| self.is_whole(stream)).await;
        }
        true
    }

    fn server_mut(&mut self, number: usize) -> &mut NatsServer {
        match number {
            0 => &mut self.server,
            _ => &mut self.peers[number - 1],
        }
    }

    async fn is_whole(&self, stream: &str) -> Option<()> {
        let Some(cluster) = self.cluster(stream).await? else { return Some(()) };
        let current = cluster.replicas.iter().filter(|peer| peer.current && !peer.offline).count();
        (cluster.leader.is_some() && current == SERVERS - 1).then_some(())
    }

    /// What the servers say of a stream, if it is there; `None` while they do not answer.
    async fn cluster(&self, stream: &str) -> Option<Option<ClusterInfo>> {
        match self.jetstream.get_stream(stream).await {
            Ok(found) => found.cached_info().cluster.clone().map(Some),
            Err(error) => match error.kind() {
                GetStreamErrorKind::JetStream(error)
                    if error.error_code() == ErrorCode::STREAM_NOT_FOUND =>
                {
                    Some(None)
                }
                _ => None,
            },
        }
    }
}
