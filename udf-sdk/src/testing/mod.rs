//! temporary
pub(crate) mod double {
    #![allow(dead_code)]
    use crate::log::Level;
    pub fn config() -> String { "{}".into() }
    pub fn log_write(_: Level, m: &str) { println!("{m}") }
    pub fn counter_add(_: &str, _: u64) {}
    pub fn histogram_record(_: &str, _: f64) {}
    pub fn list_append(_: u32, _: u32, _: &[u8]) {}
    pub fn list_set(_: u32, _: u32, _: u64, _: &[u8]) {}
    pub fn list_clear(_: u32, _: u32) {}
    pub fn list_length(_: u32, _: u32) -> u64 {0}
    pub fn list_read(_: u32, _: u32, _: u64, _: u32) -> Vec<Vec<u8>> {vec![]}
    pub fn map_get(_: u32, _: u32, _: &[u8]) -> Option<Vec<u8>> {None}
    pub fn map_put(_: u32, _: u32, _: &[u8], _: &[u8]) {}
    pub fn map_delete(_: u32, _: u32, _: &[u8]) {}
    pub fn map_clear(_: u32, _: u32) {}
    pub fn map_scan(_: u32, _: u32, _: Option<&[u8]>, _: u32) -> Vec<(Vec<u8>, Vec<u8>)> {vec![]}
}
