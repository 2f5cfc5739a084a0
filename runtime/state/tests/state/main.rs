//! The keyed state against a model of it: random histories, kills, checkpoints, damage.

mod calls;
mod checkpoints;
mod damage;
mod eviction;
mod inspection;
mod kill;
mod model;
mod random;
mod world;
