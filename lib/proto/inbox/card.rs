//! Cards: what a recipient hands out, so that somebody can seal a first message to it; and tickets, which show a drop box that
//! there is such a card.

use super::wire::{self, AddressV1, CardV1, TicketV1, array};
use super::{INBOX, KeyHash, Rki};
use crate::addr::{HostPort, MAX_HOST_LEN};
use crate::error::{Error, Result};
use crate::kdf;
use crate::key::{KeyPair, PublicKey};
use crate::sign::{self, SIGNATURE_LEN, Signature};
use crate::trust::Time;
use data_encoding::BASE32_NOPAD;
use prost::Message;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// What the text of a card begins with.
const PREFIX: &str = "keywire:card:";

/// Most one-time keys of a card: as many as may be live at a time.
pub const MAX_USES: usize = 50;

/// Most delivery addresses of a card.
pub const MAX_DELIVERY_ADDRESSES: usize = 8;

/// Most bytes of a card: all its keys, and addresses of the longest host names.
pub const MAX_CARD_LEN: usize = 4 << 10;

/// Longest text of a card, white space included.
pub const MAX_CARD_TEXT_LEN: usize = 2 * MAX_CARD_LEN;

/// What the signature of a card is for.
const PURPOSE: &str = "inbox-card";

/// Where messages to a recipient are delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The drop box that answers there; none if the recipient itself does.
    pub key: Option<PublicKey>,
    /// Where, with a port.
    pub at: HostPort,
}

/// One-time keys of a recipient, until when they are good, and where messages are delivered, signed by the recipient.
#[derive(Clone, PartialEq, Eq)]
pub struct Card {
    recipient: PublicKey,
    expires: Time,
    keys: Vec<PublicKey>,
    addresses: Vec<Address>,
    signature: Signature,
    bytes: Vec<u8>,
}

/// A card of which only hashes are shown: whoever has the card can make it, and it is no card. The signature is the same.
#[derive(Clone, PartialEq, Eq)]
pub struct Ticket {
    recipient: PublicKey,
    expires: Time,
    hashes: Vec<KeyHash>,
    addresses: [u8; 32],
    signature: Signature,
}

impl Card {
    /// A new card of `me`.
    ///
    /// # Errors
    /// No key or too many, too many addresses, one without a port; the system has no random numbers.
    pub fn make(me: &KeyPair, keys: Vec<PublicKey>, expires: Time, addresses: Vec<Address>) -> Result<Self> {
        let recipient = me.public();
        check(&recipient, &keys, &addresses)?;
        let hashes: Vec<_> = keys.iter().map(KeyHash::of).collect();
        let text = signed(&recipient, expires, &hashes, &hash_of(&addresses));
        let signature = sign::sign(me, PURPOSE, &text)?;
        let wire = CardV1 {
            recipient: recipient.as_bytes().to_vec(),
            expires: expires.unix(),
            one_time_keys: keys.iter().map(|key| key.as_bytes().to_vec()).collect(),
            addresses: addresses.iter().map(Address::to_wire).collect(),
            signature: signature.0.to_vec(),
        };
        let bytes = wire.encode_to_vec();
        match bytes.len() <= MAX_CARD_LEN {
            true => Ok(Card { recipient, expires, keys, addresses, signature, bytes }),
            false => Err(Error::no(format!("a card of {} bytes; the most is {MAX_CARD_LEN}", bytes.len()))
                .hint("give fewer or shorter addresses")),
        }
    }

    /// Reads a card, and checks its signature.
    ///
    /// # Errors
    /// Anything that is not a card as its recipient made it.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let wire: CardV1 = wire::decode(bytes, MAX_CARD_LEN, "a card")?;
        let (recipient, expires) = (key(&wire.recipient)?, time(wire.expires)?);
        let keys: Vec<_> = wire.one_time_keys.iter().map(|one| key(one)).collect::<Result<_>>()?;
        let addresses: Vec<_> = wire.addresses.iter().map(Address::from_wire).collect::<Result<_>>()?;
        check(&recipient, &keys, &addresses)?;
        let signature = Signature(array::<SIGNATURE_LEN>(&wire.signature, "the signature of a card")?);
        let hashes: Vec<_> = keys.iter().map(KeyHash::of).collect();
        let text = signed(&recipient, expires, &hashes, &hash_of(&addresses));
        if !sign::verify(&recipient, PURPOSE, &text, &signature) {
            return Err(Error::no(format!(
                "the card's signature is not that of {}: it is damaged, or somebody has changed it",
                recipient.short()
            ))
            .hint("ask its owner for the card once more"));
        }
        Ok(Card { recipient, expires, keys, addresses, signature, bytes: bytes.to_vec() })
    }

    /// Its bytes, as they are bound to each message that is sealed to it.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whose it is.
    #[must_use]
    pub fn recipient(&self) -> PublicKey {
        self.recipient
    }

    /// From when on it is good for nothing.
    #[must_use]
    pub fn expires(&self) -> Time {
        self.expires
    }

    /// Refuses a card that is over at `now`: nothing is sealed to it, and nothing delivered.
    ///
    /// # Errors
    /// It is over.
    pub fn check_time(&self, now: Time) -> Result<()> {
        match self.expires > now {
            true => Ok(()),
            false => {
                Err(Error::no(format!("the card has expired, on {}", self.expires)).hint("ask its owner for a new one"))
            }
        }
    }

    /// The one-time keys, each good for one message.
    #[must_use]
    pub fn keys(&self) -> &[PublicKey] {
        &self.keys
    }

    /// Where messages are delivered, best first; none if that is for people to see to.
    #[must_use]
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// What shows a drop box that there is this card.
    #[must_use]
    pub fn ticket(&self) -> Ticket {
        Ticket {
            recipient: self.recipient,
            expires: self.expires,
            hashes: self.keys.iter().map(KeyHash::of).collect(),
            addresses: hash_of(&self.addresses),
            signature: self.signature,
        }
    }
}

impl Ticket {
    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let wire = TicketV1 {
            recipient: self.recipient.as_bytes().to_vec(),
            expires: self.expires.unix(),
            key_hashes: self.hashes.iter().map(|hash| hash.0.to_vec()).collect(),
            addresses_hash: self.addresses.to_vec(),
            signature: self.signature.0.to_vec(),
        };
        wire.encode_to_vec()
    }

    /// Reads a ticket. The signature is left to [`Ticket::is_signed`]: whoever gives nothing to its recipient need not look.
    ///
    /// # Errors
    /// Anything that is not a ticket.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let wire: TicketV1 = wire::decode(bytes, MAX_CARD_LEN, "a ticket")?;
        let hashes: Vec<_> = wire
            .key_hashes
            .iter()
            .map(|hash| array(hash, "the hash of a one-time key").map(KeyHash))
            .collect::<Result<_>>()?;
        if hashes.is_empty() || hashes.len() > MAX_USES {
            return Err(Error::no(format!("a ticket for {} one-time keys; 1 to {MAX_USES} make one", hashes.len())));
        }
        Ok(Ticket {
            recipient: key(&wire.recipient)?,
            expires: time(wire.expires)?,
            hashes,
            addresses: array(&wire.addresses_hash, "the hash of the addresses")?,
            signature: Signature(array(&wire.signature, "the signature of a ticket")?),
        })
    }

    /// Whether its recipient has signed it.
    #[must_use]
    pub fn is_signed(&self) -> bool {
        let text = signed(&self.recipient, self.expires, &self.hashes, &self.addresses);
        sign::verify(&self.recipient, PURPOSE, &text, &self.signature)
    }

    /// Whose it is.
    #[must_use]
    pub fn recipient(&self) -> PublicKey {
        self.recipient
    }

    /// From when on it is good for nothing.
    #[must_use]
    pub fn expires(&self) -> Time {
        self.expires
    }

    /// The hash of the one-time key that `rki` names, if there is one on the card.
    #[must_use]
    pub fn key(&self, rki: &Rki) -> Option<KeyHash> {
        self.hashes.iter().copied().find(|hash| hash.rki() == *rki)
    }
}

impl Address {
    fn to_wire(&self) -> AddressV1 {
        let key = self.key.map(|key| key.as_bytes().to_vec()).unwrap_or_default();
        AddressV1 { key, at: self.at.to_string() }
    }

    fn from_wire(wire: &AddressV1) -> Result<Self> {
        let drop_box = if wire.key.is_empty() { None } else { Some(key(&wire.key)?) };
        // Another way to write the same would be the same address with another hash.
        let at: Option<HostPort> = wire.at.parse().ok().filter(|at: &HostPort| at.to_string() == wire.at);
        let at = at.filter(|at| at.port().is_some()).ok_or_else(|| Error::no("a card with an address that is none"))?;
        Ok(Address { key: drop_box, at })
    }

    /// The key that answers there, for a card of `recipient`.
    #[must_use]
    pub fn answering(&self, recipient: PublicKey) -> PublicKey {
        self.key.unwrap_or(recipient)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.key {
            Some(key) => write!(f, "{key}@{}", self.at),
            None => self.at.fmt(f),
        }
    }
}

impl FromStr for Address {
    type Err = Error;

    /// Reads `HOST[:PORT]`, where the recipient itself listens, or `KEY@HOST[:PORT]`, a drop box.
    fn from_str(text: &str) -> Result<Self> {
        let (key, at) = match text.split_once('@') {
            Some((key, at)) => (Some(crate::trust::parse_key(key)?), at),
            None => (None, text),
        };
        let at: HostPort = at.parse()?;
        match at.port().or(INBOX.port).unwrap_or_default() {
            0 => Err(Error::usage(format!("nobody can dial port 0: '{at}'")).hint("say where deliveries are taken")),
            port => Ok(Address { key, at: at.with_port(port) }),
        }
    }
}

impl serde::Serialize for Address {
    fn serialize<S: serde::Serializer>(&self, out: S) -> std::result::Result<S::Ok, S::Error> {
        out.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Address {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        <String as serde::Deserialize>::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for Card {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", BASE32_NOPAD.encode(&self.bytes).to_lowercase())
    }
}

impl fmt::Debug for Card {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Card")
            .field("recipient", &self.recipient)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").field("recipient", &self.recipient).finish_non_exhaustive()
    }
}

impl FromStr for Card {
    type Err = Error;

    /// Reads the text of a card, in lower case or in upper case, as QR codes have it. What stands before it is passed over,
    /// and what comes after an empty line behind it; so is white space in it, for a letter may have broken its line.
    fn from_str(text: &str) -> Result<Self> {
        let wrong = |why: &str| Error::no(format!("not a card: {why}"));
        let again = "copy the whole card again, from keywire:card: to its last character";
        if text.len() > MAX_CARD_TEXT_LEN {
            return Err(wrong(&format!("{} characters, more than the {MAX_CARD_TEXT_LEN} that one has", text.len())));
        }
        let begins = |line: &str| line.trim_start().to_ascii_lowercase().starts_with(PREFIX);
        let lines = text.lines().skip_while(|line| !begins(line)).take_while(|line| !line.trim().is_empty());
        let text: String = lines.flat_map(str::split_whitespace).collect();
        if text.contains(|c: char| c.is_ascii_lowercase()) && text.contains(|c: char| c.is_ascii_uppercase()) {
            return Err(wrong("upper and lower case are mixed").hint(again));
        }
        let text = text.to_ascii_uppercase();
        let prefix = PREFIX.to_ascii_uppercase();
        let code =
            text.strip_prefix(&prefix).ok_or_else(|| wrong(&format!("there is no line that begins with {PREFIX}")))?;
        let bytes = BASE32_NOPAD.decode(code.as_bytes()).map_err(|cause| {
            let at = PREFIX.len() + cause.position + 1;
            wrong(&format!("it breaks off or is damaged at character {at}")).hint(again)
        })?;
        Card::decode(&bytes).map_err(|error| if error.hints().is_empty() { error.hint(again) } else { error })
    }
}

/// Refuses what makes no sense on a card.
fn check(recipient: &PublicKey, keys: &[PublicKey], addresses: &[Address]) -> Result<()> {
    if keys.is_empty() || keys.len() > MAX_USES {
        return Err(Error::no(format!("a card with {} one-time keys; 1 to {MAX_USES} make one", keys.len())));
    }
    let mut seen = BTreeSet::from([recipient]);
    if !keys.iter().all(|key| seen.insert(key)) {
        return Err(Error::no("a card with a key that stands in it twice"));
    }
    if addresses.len() > MAX_DELIVERY_ADDRESSES {
        return Err(Error::no(format!(
            "a card with {} addresses; the most is {MAX_DELIVERY_ADDRESSES}",
            addresses.len()
        )));
    }
    let can_be_dialed = |address: &Address| address.at.port().is_some_and(|port| port != 0);
    match addresses.iter().all(|address| can_be_dialed(address) && address.at.host().len() <= MAX_HOST_LEN) {
        true => Ok(()),
        false => Err(Error::no("a card with an address that has no port, or port 0, which nobody can dial")),
    }
}

/// What a card's signature is over: nothing that only the card has.
fn signed(recipient: &PublicKey, expires: Time, hashes: &[KeyHash], addresses: &[u8; 32]) -> Vec<u8> {
    let expires = expires.unix().to_be_bytes();
    let head: [&[u8]; 3] = [recipient.as_bytes(), &expires, addresses];
    let parts: Vec<&[u8]> = head.into_iter().chain(hashes.iter().map(|hash| &hash.0[..])).collect();
    kdf::join(&parts)
}

fn hash_of(addresses: &[Address]) -> [u8; 32] {
    let texts: Vec<String> = addresses.iter().map(Address::to_string).collect();
    kdf::hash_32(&[&kdf::join(&texts.iter().map(String::as_bytes).collect::<Vec<_>>())])
}

fn key(bytes: &[u8]) -> Result<PublicKey> {
    PublicKey::from_bytes(bytes).map_err(|why| Error::no(format!("a card with a wrong key: {why}")))
}

fn time(seconds: u64) -> Result<Time> {
    Time::from_unix(seconds).ok_or_else(|| Error::no("a card that expires after the year 9999"))
}
