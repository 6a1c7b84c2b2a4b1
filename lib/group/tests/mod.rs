//! Members over a network in memory that a seed drives: partitions, loss, restarts, and acts at the same time.

mod converge;
mod hostile;
mod net;
