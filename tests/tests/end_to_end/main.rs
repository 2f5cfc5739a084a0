//! The whole of Millstream, from the outside: goldens of Apache Flink, and pipelines
//! on a real nats-server that is killed, paused and purged.

mod bank;
mod crash_points;
mod examples;
mod faults;
mod goldens;
mod jetstream;
mod joins;
mod kills;
mod moves;
mod owner;
mod patterns;
mod pipelines;
mod python;
mod queues;
mod savepoints;
mod stages;
mod states;
mod transactional;
mod under_load;
mod watermarks;
mod windows;
