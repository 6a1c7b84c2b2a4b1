use super::*;

/// All keys that stand in a stolen state.
fn keys_in(value: &json::Value, found: &mut Vec<Key>) {
    match value {
        json::Value::String(text) => {
            let bytes = data_encoding::BASE64.decode(text.as_bytes()).unwrap_or_default();
            found.extend(bytes.try_into().map(|key: [u8; 32]| Kept::from(key)));
        }
        json::Value::Array(all) => all.iter().for_each(|one| keys_in(one, found)),
        json::Value::Object(all) => all.values().for_each(|one| keys_in(one, found)),
        _ => {}
    }
}

/// A thief who has the whole state of one end.
struct Thief {
    keys: Vec<Key>,
    state: Ratchet,
}

impl Thief {
    fn steal(state: &Ratchet) -> Self {
        let mut keys = Vec::new();
        keys_in(&json::parse(stored(state).as_bytes(), 1 << 20).unwrap(), &mut keys);
        assert!(keys.len() >= 9, "{} keys", keys.len());
        Thief { keys, state: state.copy() }
    }

    /// Whether any key opens `message`, taken for whatever a key can be: that of a message, a seed, a key of a chain, a root.
    fn opens(&self, message: &Message, from: PublicKey, to: PublicKey) -> bool {
        let aad = self.state.bound(message.ep, message.n, &from, &to, &Head::from(message));
        let nonce = message.nonce.0.as_slice().try_into().unwrap();
        let fits = |key: &Key| open_message(&key.0, nonce, &aad, &message.ct.0).is_some();
        let is_seed = |seed: &Key| fits(&message_key(seed, &message.id, message.n));
        let is_chain = |key: &Key| {
            let mut chain = key.clone();
            (0..20).any(|_| is_seed(&advance(&mut chain)))
        };
        let is_root = |key: &Key| is_chain(&Epoch::begin(key, 0, from, to, NOW).1);
        self.keys.iter().any(|key| fits(key) || is_seed(key) || is_chain(key) || is_root(key))
    }
}

#[test]
fn a_stolen_state_opens_nothing_that_was_sent_before() {
    let mut ends = pair(1);
    let mut recorded = Vec::new();
    for _ in 0..3 {
        for at in 0..5 {
            for (from, to) in [(0, 1), (1, 0)] {
                let message = write(&mut ends[from], &format!("m{at}")).1;
                read(&mut ends[to], &message).unwrap();
                recorded.push((message, from, to));
            }
        }
        meet(&mut ends, true);
    }
    let who = [key(1), key(2)];
    for (end, state) in ends.iter().enumerate() {
        let thief = Thief::steal(state);
        for (message, from, to) in &recorded {
            assert!(!thief.opens(message, who[*from], who[*to]), "{message:?} of {from}, state of {end}");
        }
    }
}

#[test]
fn what_a_thief_can_open_ends_with_a_step_that_he_only_hears() {
    for victim in 0..2 {
        let mut ends = pair(1);
        meet(&mut ends, true);
        let thief = Thief::steal(&ends[victim]);
        let who = [key(1), key(2)];
        let read_by_thief = |ends: &mut [Ratchet; 2], from: usize| {
            let message = write(&mut ends[from], "m").1;
            read(&mut ends[1 - from], &message).unwrap();
            thief.opens(&message, who[from], who[1 - from])
        };
        // He reads on until then: so a state must never be stolen for good.
        assert!(read_by_thief(&mut ends, 0) && read_by_thief(&mut ends, 1));
        meet(&mut ends, true);
        assert!(!read_by_thief(&mut ends, 0) && !read_by_thief(&mut ends, 1));
        // Also when the ends have no epoch in common any more, and the keys come from what never changes.
        let kept = stored(&ends[victim]);
        meet(&mut ends, true);
        ends[victim] = restored(&kept);
        meet(&mut ends, false);
        assert!(!read_by_thief(&mut ends, 0) && !read_by_thief(&mut ends, 1));
    }
}

#[test]
fn a_message_that_waits_is_all_that_its_slot_opens() {
    let [mut a, _] = pair(1);
    let (before, (slot, message), after) = (write(&mut a, "m").1, write(&mut a, "m"), write(&mut a, "m").1);
    let mut keys = Vec::new();
    keys_in(&json::parse(json::line(&slot).unwrap().as_bytes(), 1000).unwrap(), &mut keys);
    let thief = Thief { keys, state: a };
    assert!(thief.opens(&message, key(1), key(2)));
    assert!(!thief.opens(&before, key(1), key(2)) && !thief.opens(&after, key(1), key(2)));
}
