//! Two sides over a line that loses what is on it, with restarts, crashes and clocks that jump.

use super::*;
use std::collections::VecDeque;

/// What goes over the line: envelopes of a pairing, and a hello that names the pair.
#[derive(Clone, Debug)]
enum Sent {
    Envelope(Envelope),
    Hello([u8; 16]),
}

/// Numbers that look random and are the same in each run (xorshift64*).
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % sides
    }
}

/// A connection, as the programs have it: each side says what it owes, once a connection, then hello if it is paired.
struct Line {
    inbox: [VecDeque<Sent>; 2],
    said: [Vec<Envelope>; 2],
    hello: [Option<[u8; 16]>; 2],
}

impl Line {
    fn open(sides: &mut [Side; 2]) -> Self {
        let mut line = Line { inbox: Default::default(), said: Default::default(), hello: [None, None] };
        line.speak(sides, 0);
        line.speak(sides, 1);
        line
    }

    /// Side `at` says what it owes and has not said on this line.
    fn speak(&mut self, sides: &mut [Side; 2], at: usize) {
        let to = sides[1 - at].key();
        for envelope in sides[at].owes(&to) {
            if !self.said[at].contains(&envelope) {
                self.said[at].push(envelope.clone());
                self.inbox[1 - at].push_back(Sent::Envelope(envelope));
            }
        }
        if let Standing::Accepted { .. } = sides[at].pairs.standing(&to) {
            let pair = sides[at].pair();
            if self.hello[at].replace(pair) != Some(pair) {
                self.inbox[1 - at].push_back(Sent::Hello(pair));
            }
        }
    }

    /// Side `at` hears the next thing; whether there was one.
    fn step(&mut self, sides: &mut [Side; 2], at: usize) -> bool {
        let Some(sent) = self.inbox[at].pop_front() else { return false };
        let (from, source) = (sides[1 - at].key(), sides[1 - at].source);
        let side = &mut sides[at];
        if side.pairs.admit(&from).is_err() {
            return false;
        }
        let answer = match sent {
            Sent::Envelope(envelope) => {
                let (heard, answer) = side.hear(&from, source, &envelope).unwrap();
                if let Heard::Owed = heard {
                    self.said[at].clear();
                }
                answer
            }
            Sent::Hello(pair) => {
                let ours = side.pairs.get(&from);
                let is_paired = matches!(side.pairs.standing(&from), Standing::Accepted { .. });
                // Keys that differ while an invite is on its way are no reason to end a pair.
                let fits = is_paired && (side.pair() == pair || ours.is_some_and(|ours| ours.is_settling()));
                (!fits).then_some(Envelope::NoPair(NoPair::default()))
            }
        };
        self.inbox[1 - at].extend(answer.map(Sent::Envelope));
        self.speak(sides, at);
        true
    }

    /// Until both have said everything.
    fn run(&mut self, sides: &mut [Side; 2]) {
        for _ in 0..100 {
            if !self.step(sides, 0) & !self.step(sides, 1) {
                return;
            }
        }
        panic!("they never stop: {:?} {:#?} {:#?}", self.inbox, sides[0].pairs, sides[1].pairs);
    }
}

/// A connection on which nothing is lost.
pub(super) fn meet(sides: &mut [Side; 2]) {
    let open = |[one, other]: &[Side; 2]| one.pairs.admit(&other.key()).and(other.pairs.admit(&one.key())).is_ok();
    if open(sides) {
        Line::open(sides).run(sides);
    }
}

const WORDS: [Word; 10] = [
    Word::Invite,
    Word::Invite,
    Word::Invite,
    Word::Renew,
    Word::Accept,
    Word::Accept,
    Word::Decline,
    Word::Dismiss,
    Word::Block,
    Word::Remove,
];

/// Something happens to one side.
fn happen(sides: &mut [Side; 2], dice: &mut Dice, told: &mut Vec<String>) {
    let at = usize::from(dice.roll(2) == 1);
    let peer = sides[1 - at].key();
    let what = dice.roll(100);
    match what {
        0..80 => {
            let word = WORDS[usize::try_from(dice.roll(10)).unwrap()];
            let before = sides[at].pairs.clone();
            let done = sides[at].say(word, peer);
            told.push(format!("{at} {word:?} {}", done.is_ok()));
            // A crash after the keys were saved, and before the pairs were.
            if word == Word::Accept && dice.roll(5) == 0 {
                told.push(format!("{at} crashes"));
                sides[at].pairs = before;
            }
        }
        80..85 => {
            sides[at].now += HOUR * u32::try_from(dice.roll(24 * 40)).unwrap();
            told.push(format!("{at} clock forward"));
        }
        85..90 => {
            sides[at].now -= HOUR * u32::try_from(dice.roll(24 * 40)).unwrap();
            told.push(format!("{at} clock back"));
        }
        90..97 => later(sides, Duration::from_secs(dice.roll(86_400 * 2))),
        _ => {
            told.push(format!("{at} loses its state"));
            sides[at].pairs = Pairs::default();
            sides[at].keys = None;
        }
    }
}

/// A random life of two sides, and then some peace. What they did, if they do not agree at the end.
fn live(seed: u64) -> std::result::Result<[Side; 2], String> {
    let (mut sides, mut dice, mut told) = (Side::two(), Dice::new(seed), Vec::new());
    for _ in 0..6 {
        for _ in 0..dice.roll(4) {
            happen(&mut sides, &mut dice, &mut told);
        }
        let open = sides[0].pairs.admit(&sides[1].key()).and(sides[1].pairs.admit(&sides[0].key()));
        if open.is_err() {
            continue;
        }
        told.push("meet".to_owned());
        // Both may dial at once: then there are two connections, and either may be the faster.
        let mut lines = [Line::open(&mut sides), Line::open(&mut sides)];
        for _ in 0..dice.roll(20) {
            let line = &mut lines[usize::from(dice.roll(4) == 0)];
            let at = usize::from(dice.roll(2) == 1);
            let (before, paired) = (sides[at].pairs.clone(), sides[at].keys.as_ref().map(Ratchet::pair));
            line.step(&mut sides, at);
            if sides[at].keys.as_ref().map(Ratchet::pair) != paired && dice.roll(5) == 0 {
                told.push(format!("{at} crashes on the line"));
                sides[at].pairs = before;
                break;
            }
            if dice.roll(6) == 0 {
                happen(&mut sides, &mut dice, &mut told);
                for line in &mut lines {
                    line.speak(&mut sides, 0);
                    line.speak(&mut sides, 1);
                }
            }
        }
    }
    let now = sides[0].now.max(sides[1].now);
    for at in [0, 1] {
        let peer = sides[1 - at].key();
        sides[at].now = now;
        if sides[at].standing(&sides[1 - at]) == Standing::Blocked {
            sides[at].say(Word::Remove, peer).unwrap();
        }
    }
    for _ in 0..3 {
        later(&mut sides, 2 * HOUR);
        meet(&mut sides);
    }
    for side in &mut sides {
        side.pairs.expire(side.now);
    }
    let standings = [sides[0].standing(&sides[1]), sides[1].standing(&sides[0])];
    let agree = match standings {
        [Standing::Accepted { confirmed: true }, Standing::Accepted { confirmed: true }] => {
            sides[0].pair() == sides[1].pair()
        }
        [Standing::Accepted { .. }, _] | [_, Standing::Accepted { .. }] => false,
        [Standing::Invited, Standing::Invited] => false,
        _ => true,
    };
    match agree {
        true => Ok(sides),
        false => Err(format!("seed {seed}: {standings:?}\n{}", told.join("\n"))),
    }
}

#[test]
fn whatever_is_lost_or_said_in_between_both_sides_end_with_the_same_pair_or_with_none() {
    let mut paired = 0;
    for seed in 0..400 {
        let sides = live(seed).unwrap_or_else(|told| panic!("{told}"));
        paired += u32::from(sides[0].standing(&sides[1]) == Standing::Accepted { confirmed: true });
    }
    // The schedules must not all be ones in which nothing comes about.
    assert!((50..350).contains(&paired), "{paired} of 400 ended with a pair");
}

#[test]
fn an_invite_leads_to_a_pair_wherever_the_line_breaks() {
    // Both orders of the keys, each side as the inviter, and each number of envelopes until the break.
    for inviter in [0, 1] {
        for [first, second, third] in (0..6 * 6 * 6).map(|n| [n % 6, n / 6 % 6, n / 36]) {
            let mut sides = Side::two();
            let keys = [sides[0].key(), sides[1].key()];
            sides[inviter].say(Word::Invite, keys[1 - inviter]).unwrap();
            for steps in [first, second, third] {
                let mut line = Line::open(&mut sides);
                for step in 0..steps {
                    line.step(&mut sides, step % 2);
                }
                later(&mut sides, HOUR);
                if sides[1 - inviter].standing(&sides[inviter]) == Standing::Pending {
                    sides[1 - inviter].say(Word::Accept, keys[inviter]).unwrap();
                }
            }
            meet(&mut sides);
            if sides[1 - inviter].standing(&sides[inviter]) == Standing::Pending {
                sides[1 - inviter].say(Word::Accept, keys[inviter]).unwrap();
            }
            meet(&mut sides);
            assert_paired(&sides);
        }
    }
}
