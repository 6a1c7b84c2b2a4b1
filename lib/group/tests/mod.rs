//! Members over a network in memory that a seed drives: partitions, loss, restarts, and acts at the same time.

mod converge;
mod failing;
mod forks;
mod greedy;
mod hostile;
mod net;
mod quota;
