//! What our user has decided about others.

use super::{Caller, House, VISIT};
use crate::exit;
use crate::request::{Change, Relation, Reply, To};
use crate::whom::word;
use keywire::chat::{Chat, Target};
use keywire::error::{Error, Kind, Result};
use keywire::inbox::Inbox;
use keywire::key::PublicKey;
use keywire::pair::{Pair, Pairs, Standing};
use keywire::threads::on_disk;
use std::sync::Arc;
use std::time::SystemTime;

/// Asks for consent, and tells the peer at once if it can be reached.
pub(super) async fn invite(house: &House, to: To, renew: bool, caller: &mut Caller) -> Result<u8> {
    let chat = house.engine.chat().clone();
    let key = to.key;
    on_disk(move || Pairs::update(chat.store(), |pairs| pairs.invite(chat.ourselves(), key, renew, chat.now())))
        .await?;
    house.engine.changed(&key);
    let told = house.engine.visit(&Target::from(to), VISIT).await;
    let relation = relation(house, key, Some(&told)).await?;
    let standing = relation.standing.clone();
    caller.say(Reply::Pair(relation)).await?;
    Ok(match told {
        _ if standing == word(Standing::DeclinedByPeer) => exit::REFUSED,
        // It invited us as well: there is nothing to wait for.
        _ if standing == word(Standing::Accepted { confirmed: true }) && !renew => 0,
        Ok(()) => 0,
        Err(error) => exit::of(error.kind()),
    })
}

pub(super) async fn change(house: &House, to: To, change: Change, caller: &mut Caller) -> Result<u8> {
    let chat = house.engine.chat().clone();
    let key = to.key;
    if change == Change::Accept && key == chat.me().public() {
        return Err(Error::usage("that is our own key"));
    }
    on_disk(move || decide(&chat, key, change)).await?;
    house.engine.changed(&key);
    // What was decided holds here, whether the peer can be told now or not.
    let told = match change {
        Change::Accept | Change::Decline => Some(house.engine.visit(&Target::from(to), VISIT).await),
        Change::Dismiss | Change::Block | Change::Remove => None,
    };
    let left = match (change, &told) {
        (Change::Accept, Some(Err(_))) => leave(house, key).await,
        _ => None,
    };
    let relation = Relation { left, ..relation(house, key, told.as_ref()).await? };
    caller.say(Reply::Pair(relation)).await?;
    Ok(0)
}

/// Leaves our consent where an invite that came sealed said; where that is, or why it could not be. Nothing if there is no such
/// place.
async fn leave(house: &House, key: PublicKey) -> Option<std::result::Result<String, String>> {
    let chat = house.engine.chat();
    let answered = async {
        let inbox = Inbox::open(chat.store().clone(), Arc::new(SystemTime::now))?;
        inbox.answer(chat.me(), Some(key)).await
    };
    // Our user's consent holds whatever becomes of that.
    let delivered = match answered.await {
        Ok(answered) => answered.into_iter().next()?.1,
        Err(error) => Err(error),
    };
    Some(delivered.map(|delivered| delivered.at.at.to_string()).map_err(|error| error.to_string()))
}

fn decide(chat: &Chat, key: PublicKey, change: Change) -> Result<()> {
    let now = chat.now();
    Pairs::update(chat.store(), |pairs| match change {
        // The keys first: keys without a pair are used by nobody, and a pair without keys could not be mended.
        Change::Accept => pairs.accept(chat.ourselves(), &key, now).and_then(|ratchet| chat.with(key).begin(ratchet)),
        Change::Decline => pairs.decline(&key, now),
        Change::Dismiss => pairs.dismiss(&key, now),
        Change::Block => {
            pairs.block(key, now);
            Ok(())
        }
        Change::Remove => pairs.remove(&key, now),
    })?;
    match change {
        Change::Block | Change::Remove => chat.with(key).end(),
        Change::Accept | Change::Decline | Change::Dismiss => Ok(()),
    }
}

/// What there is with `key` now.
async fn relation(house: &House, key: PublicKey, told: Option<&Result<()>>) -> Result<Relation> {
    let chat = house.engine.chat().clone();
    let pairs = on_disk(move || chat.pairs()).await?;
    let told = told.map(|told| told.as_ref().copied().map_err(in_words));
    Ok(Relation { told, ..Relation::of(key, pairs.get(&key)) })
}

/// Why a peer was not told.
fn in_words(error: &Error) -> String {
    match error.kind() {
        Kind::Refused => format!("refused: {error}"),
        _ => error.to_string(),
    }
}

impl Relation {
    /// What `pair` has come to.
    pub(crate) fn of(peer: PublicKey, pair: Option<&Pair>) -> Self {
        Relation {
            peer,
            standing: word(pair.map_or(Standing::Stranger, Pair::standing)).to_owned(),
            since: pair.map(|pair| pair.since().to_string()).unwrap_or_default(),
            pending: pair.and_then(Pair::pending).map(|(from, expires)| (from, expires.to_string())),
            renews: pair.is_some_and(Pair::asks_to_renew),
            told: None,
            left: None,
        }
    }
}
