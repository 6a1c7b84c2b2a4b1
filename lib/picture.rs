//! The picture of a key: the drunken bishop's walk (OpenSSH, `sshkey_fingerprint_randomart`). kw-keygen(1), PICTURE.

use crate::kdf;
use crate::key::PublicKey;

/// Keeps this hash apart from every other use of BLAKE2b.
const LABEL: &[u8] = b"keywire picture v1";

const COLUMNS: usize = 17;
const ROWS: usize = 9;

/// Bytes of the hash that are walked, four steps each. All 64 would blur the picture.
const WALKED: usize = 32;

/// What a field shows that was visited so often; beyond the last, the last.
const VISITS: [char; 15] = [' ', '.', 'o', '+', '=', '*', 'B', 'O', 'X', '@', '%', '&', '#', '/', '^'];

/// Draws `key`: eleven lines with their ends.
#[must_use]
pub fn of(key: &PublicKey) -> String {
    let hash = kdf::hash(&[LABEL, key.as_bytes()]);
    let start = (COLUMNS / 2, ROWS / 2);
    let (mut x, mut y) = start;
    let mut board = [[0_usize; COLUMNS]; ROWS];
    for byte in hash.iter().take(WALKED) {
        for step in [byte, &(byte >> 2), &(byte >> 4), &(byte >> 6)] {
            // Two bits: right or left, down or up. The wall stops the bishop in one direction, not in the other.
            x = if step & 1 == 0 { x.saturating_sub(1) } else { (x + 1).min(COLUMNS - 1) };
            y = if step & 2 == 0 { y.saturating_sub(1) } else { (y + 1).min(ROWS - 1) };
            if let Some(field) = board.get_mut(y).and_then(|row| row.get_mut(x)) {
                *field += 1;
            }
        }
    }
    let end = (x, y);
    let mut drawn = "+----[keywire]----+\n".to_owned();
    for (y, row) in board.iter().enumerate() {
        let fields = row.iter().enumerate().map(|(x, visits)| match (x, y) {
            place if place == end => 'E',
            place if place == start => 'S',
            _ => VISITS.get(*visits).or(VISITS.last()).copied().unwrap_or(' '),
        });
        drawn += &format!("|{}|\n", fields.collect::<String>());
    }
    drawn + "+-----------------+\n"
}
