//! kw-peers
