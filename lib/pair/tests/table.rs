//! Each standing, met by each word.

use super::line::meet;
use super::story::paired;
use super::*;
use crate::json::Bytes;
use crate::proto::chat::{InviteId, PairAck, PairConfirm};

/// How each standing is come to, and what each word makes of it. `-`: the word is refused, or changes nothing. `a/b`: a where
/// our key is the lower one, b where it is the higher.
const TABLE: &str = "
    standing     | invite  renew   accept      decline  dismiss  block   remove   | invite              ack         confirm   decline      none
    stranger     | invited invited -           -        -        blocked -        | pending             -           -         -            -
    dismissed    | invited invited -           -        -        blocked -        | pending             -           -         -            -
    invited      | -       -       -           -        -        blocked stranger | invited/unconfirmed accepted    -         by-peer      -
    pending      | invited invited unconfirmed declined stranger blocked stranger | -                   -           -         -            -
    unconfirmed  | -       renewing-u -        -        -        blocked removed  | asked-u             -           accepted  -            ended
    accepted     | -       renewing -          -        -        blocked removed  | asked               -           -         -            ended
    accepter     | -       renewing -          -        -        blocked removed  | asked               -           -         -            ended
    asked        | -       renewing unconfirmed accepted accepted blocked removed | -                   -           -         -            pending
    renewing     | -       -       -           -        -        blocked removed  | renewing/unconfirmed accepted   -         accepted     invited
    declined     | invited invited unconfirmed -        -        blocked stranger | -                   -           -         -            -
    told-no      | invited invited -           -        -        blocked stranger | -                   -           -         -            -
    by-peer      | invited invited -           -        -        blocked stranger | pending             -           -         -            -
    blocked      | -       -       -           -        -        -       stranger | -                   -           -         -            -
    removed      | invited invited -           -        -        blocked stranger | pending             -           -         -            -
    ended        | invited invited -           -        -        blocked stranger | pending             -           -         -            -
    open         | invited invited -           -        -        blocked stranger | pending             -           -         -            stranger
";

/// What the table calls what there is.
fn called(us: &Side, peer: &Side) -> &'static str {
    let pair = us.pairs.get(&peer.key());
    let (renews, asked) = pair.map_or((false, false), |pair| (pair.ours.is_some(), pair.asks_to_renew()));
    match (us.standing(peer), renews, asked) {
        (Standing::Stranger, ..) => "stranger",
        (Standing::Invited, ..) => "invited",
        (Standing::Pending, ..) => "pending",
        (Standing::Accepted { confirmed: false }, true, _) => "renewing-u",
        (Standing::Accepted { confirmed: false }, _, true) => "asked-u",
        (Standing::Accepted { confirmed: false }, ..) => "unconfirmed",
        (Standing::Accepted { .. }, true, _) => "renewing",
        (Standing::Accepted { .. }, _, true) => "asked",
        (Standing::Accepted { .. }, ..) => "accepted",
        (Standing::Declined, ..) => "declined",
        (Standing::DeclinedByPeer, ..) => "by-peer",
        (Standing::Blocked, ..) => "blocked",
        (Standing::Removed, ..) => "removed",
        (Standing::RemovedByPeer, ..) => "ended",
        (Standing::Open, ..) => "open",
    }
}

/// What a standing of the table is called by [`called`].
fn shown(standing: &str) -> &str {
    match standing {
        "dismissed" => "stranger",
        "accepter" => "accepted",
        "told-no" => "declined",
        other => other,
    }
}

/// Two sides, the one at `at` in this standing with the other.
fn come_to(standing: &str, at: usize) -> [Side; 2] {
    let mut sides = match standing {
        "accepted" | "asked" | "renewing" | "removed" | "ended" => paired(at),
        "accepter" => paired(1 - at),
        _ => Side::two(),
    };
    let (us, peer) = (sides[at].key(), sides[1 - at].key());
    let words: &[(bool, Word)] = match standing {
        "invited" => &[(true, Word::Invite)],
        "by-peer" => &[(true, Word::Invite), (false, Word::Decline)],
        "pending" => &[(false, Word::Invite)],
        "unconfirmed" => &[(false, Word::Invite), (true, Word::Accept)],
        "asked" => &[(false, Word::Renew)],
        "renewing" => &[(true, Word::Renew)],
        "declined" | "told-no" => &[(false, Word::Invite), (true, Word::Decline)],
        "dismissed" => &[(false, Word::Invite), (true, Word::Dismiss)],
        "blocked" => &[(true, Word::Block)],
        "removed" => &[(true, Word::Remove)],
        "ended" => &[(false, Word::Remove)],
        _ => &[],
    };
    for (is_ours, word) in words {
        let (who, about) = if *is_ours { (at, peer) } else { (1 - at, us) };
        sides[who].say(*word, about).unwrap();
        if !matches!(standing, "declined" | "unconfirmed") || *word == Word::Invite {
            meet(&mut sides);
        }
    }
    if standing == "open" {
        let now = sides[at].now;
        sides[at].pairs.opened(peer, true, now);
        sides[at].pairs.opened(peer, false, now);
    }
    assert_eq!(called(&sides[at], &sides[1 - at]), shown(standing));
    sides
}

/// The word of the peer called `word`: a good one if there can be one, else one that fits nothing.
fn envelope(sides: &mut [Side; 2], at: usize, word: &str) -> Envelope {
    let (us, peer) = (sides[at].key(), sides[1 - at].key());
    let ours = sides[at].pairs.get(&peer).and_then(|pair| pair.ours.clone());
    let ack = sides[at].pairs.get(&peer).and_then(|pair| pair.ack.clone());
    let nothing = InviteId([7; 16]);
    // The peer as it would be if it had lost everything.
    let mut fresh = Side { pairs: Pairs::default(), ..Side::new(if peer == Side::new(1).key() { 1 } else { 2 }) };
    fresh.now = sides[at].now;
    match word {
        "invite" => {
            fresh.say(Word::Invite, us).unwrap();
            fresh.owes_one(&us)
        }
        "ack" => {
            let Some(ours) = ours else {
                return Envelope::Ack(PairAck { id: nothing, noise: Bytes(vec![1; 60]) });
            };
            fresh.hear(&us, sides[at].source, &Envelope::Invite(ours.invite())).unwrap();
            fresh.say(Word::Accept, us).unwrap();
            fresh.owes_one(&us)
        }
        "confirm" => {
            if let Some(ack) = ack.clone() {
                sides[1 - at].hear(&us, sides[at].source, &Envelope::Ack(ack)).unwrap();
                return sides[1 - at].owes_one(&us);
            }
            Envelope::Confirm(PairConfirm { id: nothing, mac: Bytes(vec![1; 32]) })
        }
        "decline" => Envelope::Decline(About { id: ours.map_or(nothing, |ours| ours.id) }),
        _ => Envelope::NoPair(NoPair::default()),
    }
}

const OURS: [Word; 7] =
    [Word::Invite, Word::Renew, Word::Accept, Word::Decline, Word::Dismiss, Word::Block, Word::Remove];

const THEIRS: [&str; 5] = ["invite", "ack", "confirm", "decline", "none"];

/// Goes through the table; `check` gets two sides, which of them is tried, the number of the word and what it should come to.
fn each_row(columns: usize, check: impl Fn(&str, &str, usize)) {
    for row in TABLE.trim().lines().skip(1) {
        let mut parts = row.split('|').map(|part| part.split_whitespace().collect::<Vec<_>>());
        let (standing, expected) = (parts.next().unwrap()[0], parts.nth(columns).unwrap());
        for (word, expected) in expected.iter().enumerate() {
            for (at, expected) in
                [expected.split('/').next().unwrap(), expected.split('/').next_back().unwrap()].into_iter().enumerate()
            {
                let comes_to = if expected == "-" { shown(standing) } else { expected };
                check(standing, comes_to, word * 2 + at);
            }
        }
        assert_eq!(expected.len(), [OURS.len(), THEIRS.len()][columns], "{standing}");
    }
}

#[test]
fn each_word_of_our_user_makes_of_each_standing_what_the_table_says() {
    each_row(0, |standing, comes_to, word| {
        let (at, word) = (word % 2, OURS[word / 2]);
        let mut sides = come_to(standing, at);
        let peer = sides[1 - at].key();
        let before = sides[at].pairs.clone();
        let done = sides[at].say(word, peer);
        assert_eq!(called(&sides[at], &sides[1 - at]), comes_to, "{standing} {word:?} {at}");
        if let Err(error) = done {
            assert_eq!(sides[at].pairs, before, "{standing} {word:?}: a refusal changes nothing");
            let hints = error.hints().concat();
            assert!(hints.contains("kw-chat pair") || standing != "stranger" || word == Word::Remove, "{error}");
        }
    });
}

#[test]
fn each_word_of_the_peer_makes_of_each_standing_what_the_table_says() {
    each_row(1, |standing, comes_to, word| {
        let (at, word) = (word % 2, THEIRS[word / 2]);
        let mut sides = come_to(standing, at);
        let (peer, source) = (sides[1 - at].key(), sides[1 - at].source);
        // Nothing comes too soon after what made the standing.
        later(&mut sides, HOUR);
        let envelope = envelope(&mut sides, at, word);
        sides[at].hear(&peer, source, &envelope).unwrap();
        assert_eq!(called(&sides[at], &sides[1 - at]), comes_to, "{standing} {word} {at}");
        // The same word again changes nothing, but that an acknowledgement is answered again.
        let (before, keys) = (sides[at].pairs.clone(), sides[at].keys.as_ref().map(Ratchet::pair));
        sides[at].hear(&peer, source, &envelope).unwrap();
        assert_eq!(sides[at].pairs, before, "{standing} {word} {at}, repeated");
        assert_eq!(sides[at].keys.as_ref().map(Ratchet::pair), keys, "{standing} {word} {at}, repeated");
    });
}
