//! What a running service does once a day: it forgets messages that are older than the settings say.

use super::{Engine, Event};
use crate::threads::on_disk;
use std::time::{Duration, UNIX_EPOCH};

const DAY: Duration = Duration::from_secs(86_400);

impl Engine {
    /// Does it now and each day from now on, until the engine ends.
    pub(super) async fn do_daily(self) {
        let mut stopped = std::pin::pin!(self.stopped());
        loop {
            self.forget_old().await;
            tokio::select! {
                () = tokio::time::sleep(DAY) => {}
                () = &mut stopped => return,
            }
        }
    }

    async fn forget_old(&self) {
        let chat = self.chat().clone();
        let Some(days) = chat.config().retention_days else { return };
        let before = chat.now().checked_sub(DAY * days).and_then(|then| then.duration_since(UNIX_EPOCH).ok());
        let before = before.and_then(|since| u64::try_from(since.as_millis()).ok()).unwrap_or(0);
        let forgotten = on_disk(move || {
            for peer in chat.peers()? {
                chat.with(peer).forget_before(before)?;
            }
            Ok(())
        });
        if let Err(error) = forgotten.await {
            self.tell(Event::Notice(format!("old messages cannot be forgotten: {error}")));
        }
    }
}
