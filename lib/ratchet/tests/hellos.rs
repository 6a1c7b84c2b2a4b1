use super::*;
use crate::proto::chat::Hello;

/// A connection of its own.
fn binding(name: u8) -> [u8; 64] {
    [name; 64]
}

fn newest(ends: &[Ratchet; 2]) -> u64 {
    assert_eq!(ends[0].newest.ep, ends[1].newest.ep);
    ends[0].newest.ep
}

/// Both ends can write to each other.
fn talk(ends: &mut [Ratchet; 2]) {
    newest(ends);
    let [a, b] = ends;
    assert_eq!(read(b, &write(a, "there").1).unwrap(), "there");
    assert_eq!(read(a, &write(b, "back").1).unwrap(), "back");
}

#[test]
fn there_is_a_step_when_either_end_wants_one_and_else_none() {
    let mut ends = pair(1);
    assert_eq!(meet(&mut ends, false), [Meeting::default(); 2]);
    assert_eq!(newest(&ends), 0);
    talk(&mut ends);
    assert_eq!(meet(&mut ends, false), [Meeting::default(); 2]);
    let stepped = Meeting { stepped: true, ..Meeting::default() };
    assert_eq!(meet(&mut ends, true), [stepped; 2]);
    assert_eq!(newest(&ends) >> 32, 1);
    talk(&mut ends);
    ends.reverse();
    assert_eq!(meet(&mut ends, true), [stepped; 2]);
    assert_eq!(newest(&ends) >> 32, 2);
    talk(&mut ends);
}

#[test]
fn a_message_of_an_older_epoch_opens_after_the_step() {
    let mut ends = pair(1);
    let slots = ["early", "late"].map(|id| (write(&mut ends[0], id).0, id));
    meet(&mut ends, true);
    for (slot, id) in slots.into_iter().rev() {
        let message = ends[0].seal(&slot, &head(id), id.as_bytes()).unwrap();
        let opened = ends[1].open(&message).unwrap();
        assert!(slot.is_acknowledged_by(&opened.saved));
    }
    talk(&mut ends);
}

#[test]
fn a_hello_that_is_changed_anywhere_or_from_elsewhere_is_refused_and_changes_nothing() {
    let [mut a, mut b] = pair(1);
    read(&mut a, &write(&mut b, "m").1).unwrap();
    let good = b.hello(&BINDING, true).unwrap().hello().clone();
    let state = stored(&a);
    let mut wrong: Vec<(Hello, [u8; 64])> = Vec::new();
    let mut change = |how: &dyn Fn(&mut Hello)| {
        let mut changed = good.clone();
        how(&mut changed);
        assert_ne!(changed, good);
        wrong.push((changed, BINDING));
    };
    for at in 0..32 {
        change(&|it| it.step.0[at] ^= 1);
        change(&|it| it.mac.0[at] ^= 1);
        change(&|it| it.pair.0[at % PAIR_LEN] ^= 1);
    }
    change(&|it| it.step.0.truncate(31));
    change(&|it| it.step.0.push(0));
    change(&|it| it.pair.0.clear());
    change(&|it| it.mac.0.clear());
    change(&|it| it.mac.0.push(0));
    change(&|it| it.ep += 1);
    change(&|it| it.sent += 1);
    change(&|it| it.seen += 1);
    change(&|it| (it.sent, it.seen) = (it.seen, it.sent));
    change(&|it| it.proven = !it.proven);
    change(&|it| it.want = !it.want);
    // A hello of another connection, our own, that of another pair of the same keys.
    wrong.push((good.clone(), binding(8)));
    wrong.push((a.hello(&BINDING, true).unwrap().hello().clone(), BINDING));
    wrong.push((pair(2)[1].hello(&BINDING, true).unwrap().hello().clone(), BINDING));
    for (hello, binding) in &wrong {
        let step = a.hello(binding, true).unwrap();
        assert!(a.meet(step, hello, binding, NOW).is_err(), "{hello:?}");
    }
    let step = a.hello(&BINDING, true).unwrap();
    let own = step.hello().clone();
    assert!(a.meet(step, &own, &BINDING, NOW).is_err());
    // A key of low order, which whoever has the keys can write.
    let mut zero = Hello { step: Bytes(vec![0; 32]), ..good.clone() };
    zero.mac = Bytes(b.mac_of(&zero).to_vec());
    let step = a.hello(&BINDING, true).unwrap();
    assert!(a.meet(step, &zero, &BINDING, NOW).unwrap_err().to_string().contains("a hello's key"));
    let mut last = Hello { ep: u64::MAX, ..good.clone() };
    last.mac = Bytes(b.mac_of(&last).to_vec());
    let step = a.hello(&BINDING, true).unwrap();
    assert!(a.meet(step, &last, &BINDING, NOW).unwrap_err().to_string().contains("last number"));
    assert_eq!(stored(&a), state);
    let step = a.hello(&BINDING, true).unwrap();
    assert!(a.meet(step, &good, &BINDING, NOW).unwrap().stepped);
}

#[test]
fn steps_over_two_connections_at_once_leave_both_ends_with_both_epochs() {
    for swap in [false, true] {
        let mut ends = pair(1);
        talk(&mut ends);
        let hellos = [1, 2].map(|name| ends.each_ref().map(|end| end.hello(&binding(name), true).unwrap()));
        let mut steps: Vec<(usize, u8, Step, Hello)> = Vec::new();
        for (name, [a, b]) in [1, 2].into_iter().zip(hellos) {
            let (from_a, from_b) = (a.hello().clone(), b.hello().clone());
            steps.push((0, name, a, from_b));
            steps.push((1, name, b, from_a));
        }
        // One end meets over the first connection before the second, the other the other way round.
        steps.sort_by_key(|(end, name, ..)| if (*end == 0) == swap { *name } else { 3 - *name });
        for (end, name, step, theirs) in steps {
            assert!(ends[end].meet(step, &theirs, &binding(name), NOW).unwrap().stepped);
        }
        let names = |end: &Ratchet| end.old.iter().map(|epoch| epoch.ep).collect::<Vec<_>>();
        assert_eq!(names(&ends[0]), names(&ends[1]));
        assert_eq!(ends[0].old.len(), 2);
        assert!(newest(&ends) > ends[0].old[1].ep && ends[0].old[1].ep >> 32 == 1);
        talk(&mut ends);
        assert_eq!(meet(&mut ends, false), [Meeting::default(); 2]);
    }
}

#[test]
fn a_step_that_the_others_overtook_fails_at_that_end_and_the_next_one_mends_it() {
    let mut ends = pair(1);
    let (a, b) = (ends[0].hello(&BINDING, true).unwrap(), ends[1].hello(&BINDING, true).unwrap());
    let (from_a, from_b) = (a.hello().clone(), b.hello().clone());
    for _ in 0..=MAX_OLD_EPOCHS {
        meet(&mut ends, true);
    }
    let state = stored(&ends[0]);
    assert!(ends[0].meet(a, &from_b, &BINDING, NOW).is_err());
    assert!(ends[1].meet(b, &from_a, &BINDING, NOW).is_err());
    assert_eq!(stored(&ends[0]), state);
    talk(&mut ends);
}

#[test]
fn an_end_that_missed_a_step_comes_to_a_new_epoch_with_the_other() {
    let mut ends = pair(1);
    talk(&mut ends);
    for lost in [0, 1, 0] {
        let kept = stored(&ends[lost]);
        meet(&mut ends, true);
        ends[lost] = restored(&kept);
        // The other end seals in an epoch that this one never got.
        let other = 1 - lost;
        let message = write(&mut ends[other], "m").1;
        assert_eq!(read(&mut ends[lost], &message).unwrap_err(), Why::NoKey);
        let meetings = meet(&mut ends, false);
        // Nothing proves that it ever had it, so nobody went back.
        assert_eq!(meetings, [Meeting { stepped: true, ..Meeting::default() }; 2]);
        talk(&mut ends);
    }
}

#[test]
fn a_state_that_was_restored_is_noticed_at_both_ends_and_left_behind() {
    for lost in [0, 1] {
        let mut back = Meeting { stepped: true, we_went_back: true, peer_went_back: false };
        let mut saw = Meeting { stepped: true, we_went_back: false, peer_went_back: true };
        if lost == 1 {
            std::mem::swap(&mut back, &mut saw);
        }
        // Within an epoch: fewer messages sent than have come.
        let mut ends = pair(1);
        let kept = stored(&ends[lost]);
        talk(&mut ends);
        ends[lost] = restored(&kept);
        assert_eq!(meet(&mut ends, false), [back, saw], "within an epoch");
        talk(&mut ends);
        assert_eq!(meet(&mut ends, false), [Meeting::default(); 2]);
        // Before a step that it has shown to have.
        let kept = stored(&ends[lost]);
        meet(&mut ends, true);
        talk(&mut ends);
        ends[lost] = restored(&kept);
        assert_eq!(meet(&mut ends, false), [back, saw], "before a step");
        talk(&mut ends);
    }
}

#[test]
fn an_acknowledgement_proves_an_epoch_as_a_message_does() {
    let mut ends = pair(1);
    meet(&mut ends, true);
    let kept = stored(&ends[1]);
    meet(&mut ends, true);
    let ep = ends[0].newest.ep;
    ends[0].acknowledged(ep, 0);
    ends[0].acknowledged(17, 0);
    ends[1] = restored(&kept);
    assert!(meet(&mut ends, false)[1].we_went_back);
}

#[test]
fn messages_that_overtake_a_hello_are_no_sign_of_a_restored_state() {
    let [mut a, mut b] = pair(1);
    let hello = a.hello(&BINDING, false).unwrap();
    let from_a = hello.hello().clone();
    read(&mut b, &write(&mut a, "m").1).unwrap();
    let answer = b.hello(&BINDING, false).unwrap();
    let from_b = answer.hello().clone();
    assert_eq!(a.meet(hello, &from_b, &BINDING, NOW).unwrap(), Meeting { stepped: true, ..Meeting::default() });
    assert!(b.meet(answer, &from_a, &BINDING, NOW).unwrap().stepped);
    talk(&mut [a, b]);
}

impl Ratchet {
    /// The MAC of whatever this end may want to say.
    fn mac_of(&self, hello: &Hello) -> [u8; 32] {
        crate::ratchet::meet::said(hello, &BINDING, &self.me, |parts| kdf::mac(&self.hello.0, parts))
    }
}
