//! Whether a card can have travelled from one place to the next in time.

use millstream_udf::prelude::*;

/// Mean radius of the earth in kilometres (IUGG, R1).
const EARTH_KM: f64 = 6_371.0;
/// A speed that no ramp needs to tell from higher ones, in thousandths of km/h.
const SPEED_MAX_MILLI: i64 = 1_000_000_000;

/// Where and when a card was present. Degrees are in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    pub latitude: i64,
    pub longitude: i64,
    pub at: i64,
}

/// The great-circle distance in metres, by the haversine formula (R. W. Sinnott, *Virtues of the haversine*, Sky and Telescope 68, 1984). Functions
/// of the crate `libm`: the same on every machine.
pub fn distance_m(from: &Place, to: &Place) -> i64 {
    let radians = |millionths: i64| (millionths as f64 / 1e6).to_radians();
    let (a, b) = (radians(from.latitude), radians(to.latitude));
    let half = |difference: f64| {
        let sine = libm::sin(difference / 2.0);
        sine * sine
    };
    let across = radians(to.longitude - from.longitude);
    let haversine = half(b - a) + libm::cos(a) * libm::cos(b) * half(across);
    let kilometres = 2.0 * EARTH_KM * libm::asin(libm::sqrt(haversine.min(1.0)));
    libm::rint(kilometres * 1_000.0) as i64
}

/// The speed that the way takes, in thousandths of km/h; a minute at least, since clocks of terminals differ.
pub fn speed_milli(from: &Place, to: &Place) -> i64 {
    let ms = to.at.saturating_sub(from.at).saturating_abs().max(60_000);
    // Metres per millisecond are 3,600 km/h.
    let speed = i128::from(distance_m(from, to)) * 3_600_000 / i128::from(ms);
    speed.min(SPEED_MAX_MILLI.into()) as i64
}
