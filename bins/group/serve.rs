//! `serve`: holds all groups, for members and for the other commands.

use crate::answer::House;
use crate::args::Own;
use crate::house::{answer_calls, bind, engine, identity, next, notice};
use crate::show::Show;
use keywire::addr::HostPort;
use keywire::cli;
use keywire::conn::{ListenOptions, Listener};
use keywire::error::{Kind, Result};
use keywire::group::engine::Event;
use keywire::json::json;
use keywire::proto::group::GROUP;
use keywire::store::Store;
use keywire::talk::gone;
use tokio::sync::broadcast::Receiver;
use tokio::sync::watch;

pub(crate) fn serve(own: &Own, listen: &str, is_json: bool) -> Result<()> {
    let store = Store::home()?;
    let at: HostPort = listen.parse()?;
    let at = match (at.port(), GROUP.port) {
        (None, Some(port)) => at.with_port(port),
        _ => at,
    };
    let me = identity(own)?;
    let mut show = Show::new(&store, is_json)?;
    cli::block_on_all(async {
        // Before the port is taken: whoever comes second shall hear of the first, and not of its port.
        let server = bind(&store).await?;
        let options = ListenOptions { allow_self: own.allow_self, ..ListenOptions::default() };
        let listener = Listener::bind(me.clone(), &at, GROUP, options).await?;
        let address = listener.address()?.to_string();
        let stop = cli::asked_to_end()?;
        let engine = engine(&store, &me, own, false)?;
        let (stopping, stopped) = watch::channel(false);
        let house =
            House { engine: engine.clone(), listening: Some(address.clone()), stays: true, stopped: stopped.clone() };
        let events = engine.events();
        engine.faults().iter().chain(&engine.notices()).for_each(|text| notice(text));
        match is_json {
            true => show.object(&json!({ "event": "listening", "address": address }))?,
            false => show.line(&format!("listening {address}")),
        }
        show.flush()?;
        let mut telling = std::pin::pin!(tell(events, &house, show));
        let mut serving = std::pin::pin!(engine.serve(Some(listener), gone(stopped.clone())));
        let mut answering = std::pin::pin!(answer_calls(server, house.clone(), stopped));
        let mut stop = std::pin::pin!(stop);
        let ended = tokio::select! {
            () = &mut stop => Ok(()),
            ended = &mut telling => ended,
            ended = &mut answering => ended,
            ended = &mut serving => {
                engine.end().await;
                return ended;
            }
        };
        stopping.send_replace(true);
        let served = serving.await;
        let answered = answering.await;
        engine.end().await;
        match ended {
            Err(error) if error.kind() == Kind::ClosedOutput => Ok(()),
            ended => ended.and(served).and(answered),
        }
    })
}

/// Tells what happens besides messages.
async fn tell(mut events: Receiver<Event>, house: &House, mut show: Show) -> Result<()> {
    loop {
        match next(&mut events).await {
            Some(Event::Roster { group, text }) => {
                let groups = house.engine.groups().await?;
                // One into which we never came may be gone meanwhile.
                if let Some(brief) = groups.iter().find(|brief| brief.id == group) {
                    show.roster(&brief.into(), &text)?;
                }
            }
            Some(Event::Notice(text)) if show.is_json() => show.object(&json!({ "event": "notice", "text": text }))?,
            Some(Event::Notice(text)) => notice(&text),
            Some(Event::Message { .. }) | None => {}
        }
        show.flush()?;
    }
}
