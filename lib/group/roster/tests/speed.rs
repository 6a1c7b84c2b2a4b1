use super::*;
use std::time::Instant;

/// 500 members and 2,000 acts: additions with keys, removals with a new key for all, and what else happens in years.
fn big() -> (World, usize) {
    let mut world = World { genesis: genesis(Mode::Private), acts: Vec::new() };
    let mut members = vec![0];
    let mut last: Option<Place> = None;
    let mut epochs = 0;
    let mut seqs = [0_u64; 4];
    for at in 0..2000_u16 {
        let author = if at < 10 { 0 } else { at % 4 };
        let mut op = match at {
            0 => Op::Create { name: "many".into() },
            1..=3 => Op::Add { member: key(at), invite: None, given: Some(wraps(epochs, &[at])) },
            4..=6 => promote(at - 3),
            _ if members.len() < 500 && at % 16 != 0 => {
                Op::Add { member: key(at), invite: None, given: Some(wraps(epochs, &[at])) }
            }
            _ if at % 16 == 0 => remove(members[5], &[at_place(members[5])]),
            _ if at % 16 == 1 => mute(members[6], &[]),
            _ => rename(&format!("name {at}")),
        };
        if at > 6 && at % 500 == 499 {
            op = Op::Rotate {};
        }
        match &op {
            Op::Add { .. } => members.push(at),
            Op::Remove { .. } => drop(members.remove(5)),
            _ => {}
        }
        let key_of = matches!(op, Op::Create { .. } | Op::Remove { .. } | Op::Rotate {}).then(|| {
            epochs = at;
            wraps(at, &members)
        });
        seqs[author as usize] += 1;
        let id = EntryId(kdf::hash_32(&[&at.to_be_bytes()]));
        let place = Place { author: key(author), inc: Inc([1; 8]), seq: seqs[author as usize], id };
        // Every now and then two act at the same time.
        let seen = last.filter(|seen| seen.author != place.author).into_iter().collect();
        world.acts.push(Known { place, clock: u64::from(at), act: Act { seen, op, key: key_of } });
        last = Some(place);
    }
    (world, members.len())
}

fn at_place(number: u16) -> Place {
    at(number, 1, 100)
}

#[test]
fn two_thousand_acts_of_five_hundred_members_fold() {
    let (world, members) = big();
    let began = Instant::now();
    let roster = world.roster();
    eprintln!("folded in {:?}", began.elapsed());
    assert_eq!(roster.void(), []);
    assert_eq!(roster.members().len(), members);
    assert!(members > 490, "{members}");
    let last = world.acts.last().unwrap().place;
    let began = Instant::now();
    let key = roster.keys()[0];
    for seq in 0..100_000_u64 {
        let header = Header { key, ..entry(1, 1, seq + 1, last.id) };
        assert_eq!(roster.verdict(&header, &last.id), Verdict::Counts);
    }
    eprintln!("judged in {:?}", began.elapsed());
}
