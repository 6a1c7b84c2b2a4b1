//! What two users live through.

use super::line::meet;
use super::*;
use crate::json::Bytes;
use crate::proto::chat::InviteId;
use crate::ratchet::PAIR_LEN;

const ACCEPTED: Standing = Standing::Accepted { confirmed: true };

/// Two sides of which the one at `inviter` has invited the other, who knows.
fn invited(inviter: usize) -> [Side; 2] {
    let mut sides = Side::two();
    let invitee = sides[1 - inviter].key();
    sides[inviter].say(Word::Invite, invitee).unwrap();
    meet(&mut sides);
    assert_eq!(sides[inviter].standing(&sides[1 - inviter]), Standing::Invited);
    assert_eq!(sides[1 - inviter].standing(&sides[inviter]), Standing::Pending);
    sides
}

/// Two sides that are paired, by an invite of the one at `inviter`.
pub(super) fn paired(inviter: usize) -> [Side; 2] {
    let mut sides = invited(inviter);
    let inviting = sides[inviter].key();
    sides[1 - inviter].say(Word::Accept, inviting).unwrap();
    meet(&mut sides);
    assert_paired(&sides);
    sides
}

fn standings([one, other]: &[Side; 2]) -> [Standing; 2] {
    [one.standing(other), other.standing(one)]
}

#[test]
fn an_invite_is_accepted_days_later() {
    for inviter in [0, 1] {
        let mut sides = invited(inviter);
        let inviting = sides[inviter].key();
        later(&mut sides, 29 * DAY);
        sides[1 - inviter].say(Word::Accept, inviting).unwrap();
        assert_eq!(sides[1 - inviter].standing(&sides[inviter]), Standing::Accepted { confirmed: false });
        meet(&mut sides);
        assert_paired(&sides);
    }
}

#[test]
fn an_invite_ends_after_thirty_days_on_both_sides() {
    let mut sides = invited(0);
    let inviting = sides[0].key();
    later(&mut sides, 30 * DAY);
    let error = sides[1].say(Word::Accept, inviting).unwrap_err();
    assert!(error.to_string().contains("has expired, on 2026-12-21T00:00:00Z"), "{error}");
    assert!(error.hints().concat().contains("kw-chat pair invite"), "{:?}", error.hints());
    for side in &mut sides {
        side.pairs.expire(side.now);
    }
    assert_eq!(standings(&sides), [Standing::Stranger, Standing::Stranger]);
    assert!(sides.iter().all(|side| side.pairs.list().is_empty()));
}

#[test]
fn a_consent_that_comes_after_the_invite_was_taken_back_makes_no_pair() {
    let mut sides = invited(0);
    let keys = [sides[0].key(), sides[1].key()];
    sides[0].say(Word::Remove, keys[1]).unwrap();
    sides[1].say(Word::Accept, keys[0]).unwrap();
    meet(&mut sides);
    assert_eq!(standings(&sides), [Standing::Stranger, Standing::RemovedByPeer]);
}

#[test]
fn two_who_invite_each_other_are_paired_without_a_further_word() {
    let mut sides = Side::two();
    let keys = [sides[0].key(), sides[1].key()];
    sides[0].say(Word::Invite, keys[1]).unwrap();
    sides[1].say(Word::Invite, keys[0]).unwrap();
    meet(&mut sides);
    assert_paired(&sides);
    assert!(sides[0].pairs.get(&keys[1]).unwrap().confirm.is_some(), "the lower key's invite counts");
}

#[test]
fn who_invites_the_one_that_has_invited_agrees_to_it() {
    for inviter in [0, 1] {
        let mut sides = invited(inviter);
        let inviting = sides[inviter].key();
        sides[1 - inviter].say(Word::Invite, inviting).unwrap();
        meet(&mut sides);
        assert_paired(&sides);
    }
}

#[test]
fn who_invites_after_dismissing_or_declining_is_paired_all_the_same() {
    for (inviter, no) in [(0, Word::Dismiss), (1, Word::Dismiss), (0, Word::Decline), (1, Word::Decline)] {
        let mut sides = invited(inviter);
        let inviting = sides[inviter].key();
        sides[1 - inviter].say(no, inviting).unwrap();
        sides[1 - inviter].say(Word::Invite, inviting).unwrap();
        meet(&mut sides);
        assert_paired(&sides);
    }
}

#[test]
fn a_no_is_told_once_and_later_invites_meet_silence() {
    let mut sides = invited(0);
    let keys = [sides[0].key(), sides[1].key()];
    sides[1].say(Word::Decline, keys[0]).unwrap();
    sides[1].say(Word::Decline, keys[0]).unwrap();
    meet(&mut sides);
    assert_eq!(standings(&sides), [Standing::DeclinedByPeer, Standing::Declined]);
    sides[0].say(Word::Invite, keys[1]).unwrap();
    let invite = sides[0].owes_one(&keys[1]);
    let source = sides[0].source;
    let (heard, answer) = sides[1].hear(&keys[0], source, &invite).unwrap();
    assert!(matches!((heard, answer), (Heard::Nothing, Some(Envelope::Received(_)))));
    assert!(sides[1].owes(&keys[0]).is_empty());
    assert_eq!(standings(&sides), [Standing::Invited, Standing::Declined]);
}

#[test]
fn a_no_can_be_taken_back_until_the_peer_has_heard_it() {
    let mut sides = invited(0);
    let keys = [sides[0].key(), sides[1].key()];
    sides[1].say(Word::Decline, keys[0]).unwrap();
    sides[1].say(Word::Accept, keys[0]).unwrap();
    meet(&mut sides);
    assert_paired(&sides);

    let mut sides = invited(0);
    sides[1].say(Word::Decline, keys[0]).unwrap();
    meet(&mut sides);
    let error = sides[1].say(Word::Accept, keys[0]).unwrap_err();
    assert!(error.hints().concat().contains("kw-chat pair invite"), "{error}");

    let mut sides = invited(0);
    sides[1].say(Word::Decline, keys[0]).unwrap();
    sides[1].say(Word::Remove, keys[0]).unwrap();
    later(&mut sides, HOUR);
    meet(&mut sides);
    assert_eq!(standings(&sides), [Standing::Invited, Standing::Pending], "asked anew");
}

#[test]
fn a_dismissed_invite_does_not_come_back_but_another_one_may() {
    let mut sides = invited(0);
    let keys = [sides[0].key(), sides[1].key()];
    sides[1].say(Word::Dismiss, keys[0]).unwrap();
    later(&mut sides, HOUR);
    meet(&mut sides);
    assert_eq!(standings(&sides), [Standing::Invited, Standing::Stranger]);
    sides[0].say(Word::Remove, keys[1]).unwrap();
    sides[0].say(Word::Invite, keys[1]).unwrap();
    meet(&mut sides);
    assert_eq!(standings(&sides), [Standing::Invited, Standing::Pending]);
}

#[test]
fn an_invite_that_was_not_kept_is_said_again_after_an_hour() {
    let mut sides = invited(0);
    let keys = [sides[0].key(), sides[1].key()];
    sides[1].pairs = Pairs::default();
    later(&mut sides, HOUR - Duration::from_secs(1));
    assert!(sides[0].owes(&keys[1]).is_empty());
    later(&mut sides, Duration::from_secs(1));
    meet(&mut sides);
    assert_eq!(sides[1].standing(&sides[0]), Standing::Pending);
    // A user who does not want to wait for that invites once more: the same invite goes out at once.
    sides[1].pairs = Pairs::default();
    sides[0].say(Word::Invite, keys[1]).unwrap();
    meet(&mut sides);
    assert_eq!(sides[1].standing(&sides[0]), Standing::Pending);
}

#[test]
fn new_keys_come_with_the_users_word_and_the_old_ones_hold_until_then() {
    for (inviter, no) in [(0, None), (1, None), (0, Some(Word::Decline)), (1, Some(Word::Dismiss))] {
        let mut sides = paired(inviter);
        let (keys, old) = ([sides[0].key(), sides[1].key()], sides[0].pair());
        let since = sides[0].pairs.get(&keys[1]).unwrap().since();
        later(&mut sides, DAY);
        assert!(sides[0].say(Word::Invite, keys[1]).unwrap_err().hints().concat().contains("--renew"));
        sides[0].say(Word::Renew, keys[1]).unwrap();
        meet(&mut sides);
        assert!(sides[1].pairs.get(&keys[0]).unwrap().asks_to_renew());
        assert_paired(&sides);
        assert_eq!(sides[1].pair(), old);
        sides[1].say(no.unwrap_or(Word::Accept), keys[0]).unwrap();
        meet(&mut sides);
        assert_paired(&sides);
        assert_eq!(sides[1].pair() == old, no.is_some());
        assert!(!sides[1].pairs.get(&keys[0]).unwrap().asks_to_renew());
        assert_eq!(sides[0].pairs.get(&keys[1]).unwrap().since(), since, "the pair is as old as it was");
    }
}

#[test]
fn two_who_both_ask_for_new_keys_get_them() {
    for inviter in [0, 1] {
        let mut sides = paired(inviter);
        let (keys, old) = ([sides[0].key(), sides[1].key()], sides[0].pair());
        sides[0].say(Word::Renew, keys[1]).unwrap();
        sides[1].say(Word::Renew, keys[0]).unwrap();
        meet(&mut sides);
        assert_paired(&sides);
        assert_ne!(sides[0].pair(), old);
    }
}

#[test]
fn one_who_has_lost_everything_is_paired_anew_with_the_others_word() {
    for loser in [0, 1] {
        let mut sides = paired(0);
        let (peer, old) = (sides[1 - loser].key(), sides[0].pair());
        (sides[loser].pairs, sides[loser].keys) = (Pairs::default(), None);
        sides[loser].say(Word::Invite, peer).unwrap();
        meet(&mut sides);
        // Whoever lost the keys says so, or messages would wait for ever.
        assert_eq!(sides[1 - loser].standing(&sides[loser]), Standing::Pending);
        let lost = sides[loser].key();
        sides[1 - loser].say(Word::Accept, lost).unwrap();
        meet(&mut sides);
        assert_paired(&sides);
        assert_ne!(sides[0].pair(), old);
    }
}

#[test]
fn the_end_of_a_pair_is_told_and_the_two_may_begin_anew() {
    for (remover, inviter) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let mut sides = paired(0);
        let keys = [sides[0].key(), sides[1].key()];
        sides[remover].say(Word::Remove, keys[1 - remover]).unwrap();
        meet(&mut sides);
        assert_eq!(sides[remover].standing(&sides[1 - remover]), Standing::Removed);
        assert_eq!(sides[1 - remover].standing(&sides[remover]), Standing::RemovedByPeer);
        sides[inviter].say(Word::Invite, keys[1 - inviter]).unwrap();
        meet(&mut sides);
        sides[1 - inviter].say(Word::Accept, keys[inviter]).unwrap();
        meet(&mut sides);
        assert_paired(&sides);
    }
}

#[test]
fn a_blocked_key_is_not_let_in_and_its_pair_is_over() {
    let mut sides = paired(0);
    let keys = [sides[0].key(), sides[1].key()];
    assert_eq!(sides[1].pairs.admit(&keys[0]).unwrap().key(), keys[0]);
    sides[1].say(Word::Block, keys[0]).unwrap();
    let error = sides[1].pairs.admit(&keys[0]).unwrap_err();
    assert_eq!((error.kind().exit_status(), error.to_string()), (3, "it is blocked".to_owned()));
    sides[1].say(Word::Remove, keys[0]).unwrap();
    meet(&mut sides);
    assert_eq!(standings(&sides), [Standing::RemovedByPeer, Standing::Stranger]);
}

#[test]
fn messages_in_the_open_make_a_standing_only_when_they_go_both_ways() {
    let [mut one, other] = Side::two();
    let key = other.key();
    one.pairs.opened(key, false, one.now);
    one.pairs.opened(key, false, one.now);
    assert_eq!(one.standing(&other), Standing::Stranger);
    one.pairs.opened(key, true, one.now);
    one.restart();
    assert_eq!(one.standing(&other), Standing::Open);
    one.say(Word::Invite, key).unwrap();
    assert_eq!(one.standing(&other), Standing::Invited);
    assert!(one.pairs.get(&key).unwrap().is_open(), "an invite does not end it");
    let (heard, _) = one.hear(&key, other.source, &Envelope::NoPair(NoPair::default())).unwrap();
    assert!(matches!(heard, Heard::Ended));
    assert!(!one.pairs.get(&key).unwrap().is_open());
    one.say(Word::Block, key).unwrap();
    one.pairs.opened(key, true, one.now);
    one.pairs.opened(key, false, one.now);
    one.restart();
    assert_eq!(one.standing(&other), Standing::Blocked);
}

#[test]
fn a_pair_is_never_open() {
    let mut sides = paired(0);
    let peer = sides[1].key();
    let now = sides[0].now;
    sides[0].pairs.opened(peer, true, now);
    sides[0].pairs.opened(peer, false, now);
    sides[0].restart();
    assert!(!sides[0].pairs.get(&peer).unwrap().is_open());
    assert_eq!(sides[0].standing(&sides[1]), ACCEPTED);
}

#[test]
fn nobody_is_paired_with_himself() {
    let mut side = Side::new(1);
    let key = side.key();
    assert!(side.say(Word::Invite, key).unwrap_err().to_string().contains("your own key"));
}

#[test]
fn keys_that_were_saved_for_a_consent_that_was_not_end_the_pair_instead_of_silencing_it() {
    let mut sides = invited(0);
    let keys = [sides[0].key(), sides[1].key()];
    sides[1].say(Word::Accept, keys[0]).unwrap();
    let ack = sides[1].owes_one(&keys[0]);
    // Consent is given once more, and the machine dies after the keys are saved and before the pairs are.
    let before = sides[1].pairs.clone();
    sides[1].pairs = invited(0)[1].pairs.clone();
    sides[1].say(Word::Accept, keys[0]).unwrap();
    sides[1].pairs = before;
    let source = sides[1].source;
    sides[0].hear(&keys[1], source, &ack).unwrap();
    let confirm = sides[0].owes_one(&keys[1]);
    let (heard, answer) = sides[1].hear(&keys[0], source, &confirm).unwrap();
    assert!(matches!((heard, answer), (Heard::NoPair, Some(Envelope::NoPair(_)))));
    assert_eq!(standings(&sides), [ACCEPTED, Standing::Accepted { confirmed: false }]);
    sides[0].hear(&keys[1], source, &Envelope::NoPair(NoPair::default())).unwrap();
    meet(&mut sides);
    assert_eq!(standings(&sides), [Standing::RemovedByPeer, Standing::RemovedByPeer]);
}

#[test]
fn a_word_that_there_is_no_pair_ends_the_one_that_it_names_and_no_newer_one() {
    let [mut one, other] = paired(0);
    let key = other.key();
    let keys = Some([7; PAIR_LEN]);
    let named = |pair: [u8; PAIR_LEN]| NoPair { pair: Some(Bytes(pair.to_vec())), id: None };
    assert!(matches!(one.pairs.on_none(&key, &named([8; PAIR_LEN]), keys, one.now), Heard::Nothing));
    let by_invite = NoPair { pair: None, id: Some(InviteId([9; 16])) };
    assert!(matches!(one.pairs.on_none(&key, &by_invite, keys, one.now), Heard::Nothing));
    assert!(matches!(one.pairs.standing(&key), Standing::Accepted { .. }));
    assert!(matches!(one.pairs.on_none(&key, &named([7; PAIR_LEN]), keys, one.now), Heard::Ended));
    assert_eq!(one.pairs.standing(&key), Standing::RemovedByPeer);
}
