//! Patterns of paths.

/// Whether `path` fits `pattern`, component by component: `*` stands for any bytes and `?` for one, but neither for a slash
/// nor for a dot in front.
pub(super) fn matches(pattern: &[u8], path: &[u8]) -> bool {
    let (mut patterns, mut names) = (pattern.split(|byte| *byte == b'/'), path.split(|byte| *byte == b'/'));
    loop {
        match (patterns.next(), names.next()) {
            (None, None) => return true,
            (Some(pattern), Some(name)) => {
                let hidden = name.first() == Some(&b'.') && pattern.first() != Some(&b'.');
                if hidden || !fits(pattern, name) {
                    return false;
                }
            }
            _ => return false,
        }
    }
}

fn fits(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern, name) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => (0..=name.len()).any(|at| name.get(at..).is_some_and(|name| fits(rest, name))),
        ([b'?', pattern @ ..], [_, name @ ..]) => fits(pattern, name),
        ([a, pattern @ ..], [b, name @ ..]) => a == b && fits(pattern, name),
        _ => false,
    }
}
