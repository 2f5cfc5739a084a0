//! Wants the network.

use guest_kit::*;

struct WantsNetwork;

impl Guest for WantsNetwork {
    fn describe() -> Description {
        described("wants-network")
    }

    fn process(_records: Batch) -> Result<Effects, Failure> {
        let refused = |error: std::io::Error| Failure { index: 0, message: error.to_string() };
        std::net::TcpStream::connect("203.0.113.1:80").map_err(refused)?;
        Ok(nothing(0, 0))
    }

    fn on_timer(_timers: TimerBatch) -> Result<Effects, Failure> {
        Ok(nothing(0, 0))
    }
}

guest_kit::export!(WantsNetwork with_types_in guest_kit);
