//! A [`Window`] in the stage's configuration.

use serde::de::{Deserialize, Deserializer, Error};

use super::layout::{Trigger, WINDOWS_PER_RECORD_MAX, Window};
use crate::duration::Field;

/// What stands in the configuration. Exactly one of the kinds is named.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    tumbling: Option<Field>,
    sliding: Option<Sliding>,
    session: Option<Field>,
    global: Option<Trigger>,
    offset: Option<Field>,
    allowed_lateness: Option<Field>,
    early: Option<Trigger>,
    #[serde(default)]
    discarding: bool,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Sliding {
    size: Field,
    slide: Field,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct TriggerSettings {
    records: Option<u32>,
    event_time: Option<Field>,
    processing_time: Option<Field>,
}

/// Checks a length before a constructor would panic.
fn checked<E: Error>(
    name: &str,
    Field(length): Field,
    min_ms: u128,
) -> Result<std::time::Duration, E> {
    if length.as_millis() < min_ms || length.as_millis() > 1 << 62 {
        return Err(E::custom(format_args!(
            "`{name}` must be {min_ms} to 2^62 ms, and is {length:?}"
        )));
    }
    Ok(length)
}

impl<'d> Deserialize<'d> for Window {
    fn deserialize<D: Deserializer<'d>>(deserializer: D) -> Result<Self, D::Error> {
        let settings = Settings::deserialize(deserializer)?;
        let fixed = settings.tumbling.is_some() || settings.sliding.is_some();
        let mut window = match (
            settings.tumbling,
            settings.sliding,
            settings.session,
            settings.global,
        ) {
            (Some(size), None, None, None) => Self::tumbling(checked("tumbling", size, 1)?),
            (None, Some(Sliding { size, slide }), None, None) => {
                let (size, slide) = (checked("size", size, 1)?, checked("slide", slide, 1)?);
                if slide > size {
                    return Err(D::Error::custom(format_args!(
                        "`slide` must be {size:?} or less, as `size` is, and is {slide:?}"
                    )));
                }
                let count = (size.as_millis() - 1) / slide.as_millis() + 1;
                if count > WINDOWS_PER_RECORD_MAX as u128 {
                    return Err(D::Error::custom(format_args!(
                        "a record would belong to {count} windows; {WINDOWS_PER_RECORD_MAX} are allowed"
                    )));
                }
                Self::sliding(size, slide)
            }
            (None, None, Some(gap), None) => Self::session(checked("session", gap, 1)?),
            (None, None, None, Some(trigger)) => Self::global(trigger),
            _ => {
                return Err(D::Error::custom(
                    "a window is one of `tumbling`, `sliding`, `session` and `global`",
                ));
            }
        };
        match settings.offset {
            Some(offset) if fixed => window = window.offset(checked("offset", offset, 0)?),
            Some(_) => {
                return Err(D::Error::custom("only tumbling and sliding windows have an `offset`"));
            }
            None => {}
        }
        if let Some(lateness) = settings.allowed_lateness {
            window = window.allowed_lateness(checked("allowed_lateness", lateness, 0)?);
        }
        if let Some(trigger) = settings.early {
            window = window.early(trigger);
        }
        Ok(if settings.discarding { window.discarding() } else { window })
    }
}

impl<'d> Deserialize<'d> for Trigger {
    fn deserialize<D: Deserializer<'d>>(deserializer: D) -> Result<Self, D::Error> {
        let settings = TriggerSettings::deserialize(deserializer)?;
        let mut trigger = Self::default();
        if let Some(count) = settings.records {
            if count == 0 {
                return Err(D::Error::custom("a window fires at 1 record or more, not at 0"));
            }
            trigger = trigger.or(Self::records(count));
        }
        if let Some(interval) = settings.event_time {
            trigger = trigger.or(Self::event_time(checked("event_time", interval, 1)?));
        }
        if let Some(interval) = settings.processing_time {
            trigger = trigger.or(Self::processing_time(checked("processing_time", interval, 1)?));
        }
        if trigger == Self::default() {
            return Err(D::Error::custom(
                "a trigger is one or more of `records`, `event_time` and `processing_time`",
            ));
        }
        Ok(trigger)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;

    fn read(settings: Value) -> Result<Window, String> {
        serde_json::from_value(settings).map_err(|error| error.to_string())
    }

    #[test]
    fn all_kinds() {
        let minute = Duration::from_secs(60);
        assert_eq!(read(json!({"tumbling": "1m"})), Ok(Window::tumbling(minute)));
        assert_eq!(
            read(json!({"tumbling": "1d", "offset": "16h"})),
            Ok(Window::tumbling(minute * 1440).offset(minute * 960))
        );
        assert_eq!(
            read(json!({"session": "30s", "allowed_lateness": "0s", "discarding": true})),
            Ok(Window::session(minute / 2).discarding())
        );
        assert_eq!(
            read(json!({"global": {"records": 10, "processing_time": "5s"}})),
            Ok(Window::global(
                Trigger::records(10).or(Trigger::processing_time(Duration::from_secs(5)))
            ))
        );
        assert_eq!(
            read(
                json!({"sliding": {"size": "10m", "slide": "1m"}, "early": {"event_time": "10s"}})
            ),
            Ok(Window::sliding(minute * 10, minute)
                .early(Trigger::event_time(Duration::from_secs(10))))
        );
    }

    #[test]
    fn mistakes_are_told() {
        for (settings, message) in [
            (json!({}), "one of `tumbling`, `sliding`, `session` and `global`"),
            (json!({"tumbling": "1m", "session": "1m"}), "one of"),
            (json!({"tumbling": "0s"}), "`tumbling` must be 1 to 2^62 ms, and is 0ns"),
            (json!({"tumbling": "1 minute"}), "like `90s`"),
            (json!({"sliding": {"size": "1d", "slide": "1s"}}), "86400 windows; 96 are allowed"),
            (json!({"sliding": {"size": "1s", "slide": "2s"}}), "must be 1s or less"),
            (json!({"session": "1m", "offset": "1s"}), "have an `offset`"),
            (json!({"global": {}}), "one or more of"),
            (json!({"tumbling": "1m", "early": {"records": 0}}), "not at 0"),
            (json!({"tumbling": "1m", "lateness": "1s"}), "unknown field `lateness`"),
        ] {
            let refused = read(settings.clone()).expect_err(&settings.to_string());
            assert!(refused.contains(message), "{settings}: {refused}");
        }
    }
}
