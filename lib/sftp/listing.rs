//! One line of a directory as a person reads it: the protocol's long name, in the form of `ls -l`.

use super::owners::Owners;
use crate::root::{Kind, Status};
use crate::term::sanitize_line;

/// Such a line. Nothing in it can move a cursor; times are UTC; an owner without a name is a number.
pub(super) fn long_name(name: &[u8], status: Option<&Status>, owners: &mut Owners, now: i64) -> String {
    let shown = sanitize_line(&String::from_utf8_lossy(name));
    let Some(is) = status else {
        return format!("?--------- {0:>3} {0:<8} {0:<8} {0:>8} {0:>12} {shown}", "?");
    };
    let named = |name: &str, id: u32| if name.is_empty() { id.to_string() } else { sanitize_line(name) };
    let (owner, group) = (named(owners.user(is.owner), is.owner), named(owners.group(is.group), is.group));
    let date = date(is.modified, now);
    format!("{} {:>3} {owner:<8} {group:<8} {:>8} {date} {shown}", permissions(is), is.links, is.size)
}

/// `drwxr-xr-x`.
fn permissions(status: &Status) -> String {
    let kind = match status.kind() {
        Kind::File => '-',
        Kind::Directory => 'd',
        Kind::Link => 'l',
        Kind::Special => match status.mode & 0o170_000 {
            0o010_000 => 'p',
            0o020_000 => 'c',
            0o060_000 => 'b',
            _ => 's',
        },
    };
    let has = |bit: u32| status.mode & bit != 0;
    let mut text = String::from(kind);
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        text.push(if has(0o4 << shift) { 'r' } else { '-' });
        text.push(if has(0o2 << shift) { 'w' } else { '-' });
        text.push(match (has(0o1 << shift), has(special)) {
            (false, false) => '-',
            (true, false) => 'x',
            (true, true) => letter,
            (false, true) => letter.to_ascii_uppercase(),
        });
    }
    text
}

const DAY: i64 = 86_400;
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// `Nov 21 09:05`, or `Nov 21  2019` for what is older than half a year, or still to come.
fn date(seconds: i64, now: i64) -> String {
    let (mut days, second) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY));
    let is_leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    // Four hundred years have the same number of days, whichever they are.
    let mut year = 1970 + days.div_euclid(146_097) * 400;
    days = days.rem_euclid(146_097);
    while days >= 365 + i64::from(is_leap(year)) {
        days -= 365 + i64::from(is_leap(year));
        year += 1;
    }
    let mut months = MONTHS.iter().zip([31, 28 + i64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]);
    let month = months.find_map(|(month, length)| {
        if days < length {
            return Some(*month);
        }
        days -= length;
        None
    });
    let (month, day) = (month.unwrap_or_default(), days + 1);
    match now - seconds {
        0..15_768_000 => format!("{month} {day:>2} {:02}:{:02}", second / 3600, second / 60 % 60),
        _ => format!("{month} {day:>2} {year:>5}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_the_calendars() {
        let now = 1_795_252_000;
        for (seconds, shown) in [
            (0, "Jan  1  1970"),
            (-1, "Dec 31  1969"),
            (951_782_399, "Feb 28  2000"),
            (951_782_400, "Feb 29  2000"),
            (4_107_542_400, "Mar  1  2100"),
            (now - 60, "Nov 21 09:05"),
            (now + 3600, "Nov 21  2026"),
        ] {
            assert_eq!(date(seconds, now), shown, "{seconds}");
        }
    }
}
