//! The control plane against real nats-server processes, with a worker that only writes down what it is asked.

mod access;
mod api;
mod audit;
mod cluster;
mod dead_letters;
mod lease;
mod pipelines;
mod savepoints;
mod starts;
mod support;
mod worker;
