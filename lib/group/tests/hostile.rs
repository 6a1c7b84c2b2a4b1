//! What a member could try who does not keep to the rules: each is refused, and named.
