//! Sending: one call that stores messages, sees to it that there is a connection, and waits for what becomes of them.

use super::line::{Line, Progress, Teller};
use super::{Delivery, Engine, Target};
use crate::chat::{Draft, Pairing, Queued, Stage};
use crate::error::Result;
use crate::key::PublicKey;
use crate::pair::{Pairs, Standing};
use crate::proto::chat::MessageId;
use crate::threads::on_disk;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

/// How long a message that nobody waits for has to leave.
const LEAVE_WITHIN: Duration = Duration::from_secs(10);

/// How often it is looked whether another process has delivered what a call waits for: one-shot calls without a listener
/// carry each other's messages.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// How often a connection that ends before its time is made anew within one call.
const TRIES: u64 = 3;

impl Engine {
    /// Stores `drafts` for `to` and delivers them, for at most `patience`; zero sends and does not wait. What is not
    /// acknowledged then is delivered later, if `keep` says so, else taken out. One answer for each draft, in order.
    ///
    /// # Errors
    /// They cannot be stored: then nothing was sent.
    pub async fn send(
        &self,
        to: &Target,
        drafts: Vec<Draft>,
        patience: Duration,
        keep: bool,
    ) -> Result<Vec<(MessageId, Delivery)>> {
        let started = Instant::now();
        let ids: Vec<MessageId> = drafts.iter().map(|draft| draft.head.id.clone()).collect();
        let (mut standing, mut is_open) = self.standing(to.key).await?;
        if standing == Standing::Invited && !patience.is_zero() {
            // Its answer may wait there. Whatever comes of the visit is seen in the standing.
            let _ = self.visit(to, patience).await;
            (standing, is_open) = self.standing(to.key).await?;
        }
        let open = match self.way(standing, is_open) {
            Ok(open) => open,
            Err(delivery) => return Ok(ids.into_iter().map(|id| (id, delivery.clone())).collect()),
        };
        let line = self.line(to.key);
        let (teller, told) = mpsc::unbounded_channel();
        let watched = Watched::new(&line, &ids, teller);
        let conversation = self.0.chat.with(to.key);
        let (chat, peer) = (self.0.chat.clone(), to.key);
        let queued = on_disk(move || {
            let queued = conversation.queue(&drafts, open)?;
            if open {
                Pairs::update(chat.store(), |pairs| {
                    pairs.opened(peer, true, chat.now());
                    Ok(())
                })?;
            }
            Ok(queued)
        })
        .await?;
        let mut call = SendCall { line: line.clone(), told, answers: HashMap::new(), started };
        for (id, queued) in ids.iter().zip(&queued) {
            let known = match queued {
                Queued::Known(Stage::Acked) => Delivery::Saved { after: Duration::ZERO },
                Queued::Known(Stage::Expired) => {
                    Delivery::Unreachable("its time was over before it could be delivered".to_owned())
                }
                Queued::Waiting | Queued::Known(Stage::Queued) => continue,
            };
            call.answers.insert(id.clone(), known);
        }
        self.changed(&to.key);
        let within = if patience.is_zero() { LEAVE_WITHIN } else { patience };
        let failure = self.carry(to, &mut call, &ids, started + within, patience.is_zero()).await;
        drop(watched);
        let answers: Vec<(MessageId, Delivery)> = ids
            .into_iter()
            .map(|id| {
                let answer = call.answers.remove(&id).unwrap_or_else(|| failure.clone());
                (id, answer)
            })
            .collect();
        if !keep {
            let left: Vec<MessageId> = answers
                .iter()
                .filter(|(_, delivery)| !matches!(delivery, Delivery::Saved { .. }))
                .map(|(id, _)| id.clone())
                .collect();
            let (conversation, withdrawn) = (self.0.chat.with(to.key), left.clone());
            on_disk(move || conversation.withdraw(&withdrawn)).await?;
            line.land(&left);
        }
        Ok(answers)
    }

    /// Whether a message to somebody of this standing goes open, or why not at all.
    fn way(&self, standing: Standing, is_open: bool) -> std::result::Result<bool, Delivery> {
        match standing {
            Standing::Accepted { .. } => Ok(false),
            Standing::Blocked | Standing::DeclinedByPeer => Err(Delivery::Unpaired(standing)),
            _ if is_open || self.0.chat.config().pairing == Pairing::Open => Ok(true),
            other => Err(Delivery::Unpaired(other)),
        }
    }

    /// Looks on the disk for what another process has delivered.
    async fn look_for(&self, peer: PublicKey, call: &mut SendCall, ids: &[MessageId]) {
        let open: Vec<MessageId> =
            ids.iter().filter(|id| matches!(call.answers.get(*id), None | Some(Delivery::Sent))).cloned().collect();
        let conversation = self.0.chat.with(peer);
        // What cannot be read now is looked at again.
        let settled = on_disk(move || conversation.settled(&open)).await.unwrap_or_default();
        for (id, _) in settled.into_iter().filter(|(_, stage)| *stage == Stage::Acked) {
            call.note(id, Progress::Acked);
        }
    }

    /// Waits until all of `ids` are answered, and sees to it that there is a connection. What holds for those that are not.
    async fn carry(
        &self,
        to: &Target,
        call: &mut SendCall,
        ids: &[MessageId],
        until: Instant,
        sent_is_enough: bool,
    ) -> Delivery {
        let mut status = call.line.status();
        let ended_before = status.borrow().ended;
        let mut must_dial = to.only;
        let late = || Delivery::Unreachable("no answer in time".to_owned());
        while !call.is_done(ids, sent_is_enough) {
            let (there, ended) = {
                let status = status.borrow_and_update();
                (status.sessions > 0, status.ended - ended_before)
            };
            if must_dial || !there {
                if ended >= TRIES {
                    return status.borrow().failure.clone().unwrap_or_else(late);
                }
                must_dial = false;
                match timeout_at(until, self.reach(to)).await {
                    Err(_) => return late(),
                    Ok(Err(error)) => return Delivery::of(&error),
                    Ok(Ok(())) => continue,
                }
            }
            tokio::select! {
                Some((id, progress)) = call.told.recv() => call.note(id, progress),
                _ = status.changed() => {
                    if let Some(failure @ (Delivery::Refused(_) | Delivery::Unproven(_))) = status.borrow().failure.clone() {
                        return failure;
                    }
                }
                () = tokio::time::sleep(LOOK_EVERY) => self.look_for(to.key, call, ids).await,
                () = tokio::time::sleep_until(until) => return late(),
            }
        }
        late()
    }
}

/// Messages that one call waits for.
struct SendCall {
    line: Arc<Line>,
    told: mpsc::UnboundedReceiver<(MessageId, Progress)>,
    answers: HashMap<MessageId, Delivery>,
    started: Instant,
}

impl SendCall {
    fn note(&mut self, id: MessageId, progress: Progress) {
        let answer = match progress {
            // Its acknowledgement may have been quicker.
            Progress::Sent if self.answers.contains_key(&id) => return,
            Progress::Sent => Delivery::Sent,
            Progress::Acked => Delivery::Saved { after: self.started.elapsed() },
            Progress::Failed(delivery) => delivery,
        };
        self.answers.insert(id, answer);
    }

    fn is_done(&self, ids: &[MessageId], sent_is_enough: bool) -> bool {
        ids.iter().all(|id| match self.answers.get(id) {
            Some(Delivery::Sent) => sent_is_enough,
            Some(_) => true,
            None => false,
        })
    }
}

/// Messages that somebody is told about, until it is dropped.
struct Watched<'a> {
    line: &'a Line,
    ids: &'a [MessageId],
    teller: Teller,
}

impl<'a> Watched<'a> {
    fn new(line: &'a Line, ids: &'a [MessageId], teller: Teller) -> Self {
        for id in ids {
            line.tell(id, &teller);
        }
        Watched { line, ids, teller }
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        for id in self.ids {
            self.line.forget(id, &self.teller);
        }
    }
}
