//! `listen --exec`: a command for each message that comes, under the cursor `exec`.

use crate::NAME;
use crate::request::Group;
use crate::show::time;
use keywire::cli;
use keywire::error::Error;
use keywire::group::engine::{Message, Text};
use keywire::hook::{Handed, Hook, TRIES};
use keywire::trust::Names;
use tokio::sync::watch;

/// The cursor of the hook.
pub(crate) const CURSOR: &str = "exec";

/// Runs the hook for `message`; `false` if everything ends before that is done.
pub(crate) async fn hand_over(
    hook: &Hook,
    names: &mut Names,
    group: &Group,
    message: &Message,
    stopped: &watch::Receiver<bool>,
) -> bool {
    // What cannot be read is nothing to work on; it is shown.
    let Text::Readable(text) = &message.text else { return true };
    let about = [
        ("KEYWIRE_GROUP", Some(group.id.to_string())),
        ("KEYWIRE_GROUP_NAME", Some(group.name.clone())),
        ("KEYWIRE_PEER", Some(message.author.to_string())),
        ("KEYWIRE_PEER_NAME", names.of(&message.author).map(str::to_owned)),
        ("KEYWIRE_ID", Some(message.id.to_string())),
        ("KEYWIRE_TIME", Some(time(message.time))),
        ("KEYWIRE_REPLY_TO", message.reply_to.map(|id| id.to_string())),
    ];
    match hook.hand_over(text, &about, stopped).await {
        Handed::Done => true,
        Handed::Stopped => false,
        Handed::Failed(why) => {
            let seen = format!("message {} of {}", message.id, message.author);
            let error = Error::state(format!("{seen} was set aside: the hook failed {TRIES} times: {why}"));
            cli::report(NAME, &error.hint("'kw-group history' has its text"));
            true
        }
    }
}
