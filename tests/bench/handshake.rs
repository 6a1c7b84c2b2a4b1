//! Handshakes a second, both ends on one core.

use crate::table::Table;
use keywire::key::KeyPair;
use keywire::noise::{Initiator, Preface, Responder};
use keywire::seal::Suite;
use std::time::{Duration, Instant};

const FOR: Duration = Duration::from_secs(3);

pub fn rows(table: &mut Table) {
    for (name, suite) in [("AESGCM", Suite::AesGcm), ("ChaChaPoly", Suite::ChaChaPoly)] {
        let (dialer, listener) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let preface = Preface::new(suite);
        let start = Instant::now();
        let mut count = 0_u32;
        while start.elapsed() < FOR {
            let (initiator, i1) = Initiator::start(&dialer, &listener.public(), preface, "pty").unwrap();
            let (responder, i2) = Responder::start(&listener, preface, "pty", &i1).unwrap();
            let (i3, _keys) = initiator.read_i2(&i2).unwrap().finish(b"{}").unwrap();
            assert!(responder.read_i3(&i3).unwrap().peer == dialer.public());
            count += 1;
        }
        let rate = f64::from(count) / start.elapsed().as_secs_f64();
        table.row([
            format!("handshakes/s, both ends on one core, {name}"),
            format!("{rate:.0}"),
            String::new(),
            String::new(),
            ">= 4,000".to_owned(),
        ]);
    }
}
