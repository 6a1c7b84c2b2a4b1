//! kw-state
