//! Joins: what they give, in which order, and what they keep.

mod arrivals;
mod interval;
mod lateness;
mod versions;
mod windowed;
