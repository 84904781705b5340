//! Keys for gossip: what is sent is sealed with the first, what comes may be sealed with any.
//!
//! AES-GCM with a fresh random nonce for everything that is sealed. A key is 16, 24 or 32 bytes,
//! written in base64.

use aes_gcm::aead::consts::U12;
use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::aes::Aes192;
use aes_gcm::{Aes128Gcm, Aes256Gcm, AesGcm, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand_for_foca::Rng;

/// How many bytes a nonce has.
const NONCE: usize = 12;
/// How many bytes sealing adds.
pub(crate) const OVERHEAD: usize = NONCE + 16;
/// How many keys a ring holds: each packet that fits none costs a try of every key.
const MOST_KEYS: usize = 32;

/// Why a key cannot be used so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It is no base64, or of another size.
    #[error("key size must be 16, 24 or 32 bytes")]
    Malformed,
    /// It is the one that is in use.
    #[error("removing the primary key is not allowed")]
    Primary,
    /// It is not there.
    #[error("requested key is not in the keyring")]
    Unknown,
    /// There are too many already.
    #[error("the keyring holds {MOST_KEYS} keys, remove one first")]
    Full,
    /// There is no encryption.
    #[error("Keyring is empty (encryption not enabled)")]
    NoKeys,
}

/// What may be asked of the keys of a whole pool.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum KeyRequest {
    /// Which there are.
    List,
    /// Take this one for what comes.
    Install(String),
    /// Seal with this one from now on.
    Use(String),
    /// Forget this one.
    Remove(String),
}

enum Cipher {
    Short(Box<Aes128Gcm>),
    Middle(Box<AesGcm<Aes192, U12>>),
    Long(Box<Aes256Gcm>),
}

impl Cipher {
    fn new(key: &[u8]) -> Option<Self> {
        match key.len() {
            16 => Aes128Gcm::new_from_slice(key).ok().map(|cipher| Self::Short(Box::new(cipher))),
            24 => AesGcm::new_from_slice(key).ok().map(|cipher| Self::Middle(Box::new(cipher))),
            32 => Aes256Gcm::new_from_slice(key).ok().map(|cipher| Self::Long(Box::new(cipher))),
            _ => None,
        }
    }

    fn seal(&self, nonce: &[u8; NONCE], payload: Payload<'_, '_>) -> Option<Vec<u8>> {
        let nonce = Nonce::from_slice(nonce);
        match self {
            Self::Short(cipher) => cipher.encrypt(nonce, payload).ok(),
            Self::Middle(cipher) => cipher.encrypt(nonce, payload).ok(),
            Self::Long(cipher) => cipher.encrypt(nonce, payload).ok(),
        }
    }

    fn open(&self, nonce: &[u8; NONCE], payload: Payload<'_, '_>) -> Option<Vec<u8>> {
        let nonce = Nonce::from_slice(nonce);
        match self {
            Self::Short(cipher) => cipher.decrypt(nonce, payload).ok(),
            Self::Middle(cipher) => cipher.decrypt(nonce, payload).ok(),
            Self::Long(cipher) => cipher.decrypt(nonce, payload).ok(),
        }
    }
}

struct Key {
    text: String,
    cipher: Cipher,
}

impl Key {
    fn parse(text: &str) -> Result<Self, KeyError> {
        let bytes = STANDARD.decode(text.trim()).map_err(|_| KeyError::Malformed)?;
        let cipher = Cipher::new(&bytes).ok_or(KeyError::Malformed)?;
        Ok(Self { text: STANDARD.encode(bytes), cipher })
    }
}

/// The keys of a pool, the one that seals first. Without any, nothing is sealed.
#[derive(Default)]
pub(crate) struct Keyring {
    keys: Vec<Key>,
}

impl Keyring {
    /// # Errors
    /// If one of them is no key.
    pub(crate) fn new(keys: &[String]) -> Result<Self, KeyError> {
        let mut ring = Self::default();
        for text in keys {
            let key = Key::parse(text)?;
            if !ring.keys.iter().any(|known| known.text == key.text) {
                ring.keys.push(key);
            }
        }
        if ring.keys.len() > MOST_KEYS {
            return Err(KeyError::Full);
        }
        Ok(ring)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// All keys in base64, the one that seals first.
    pub(crate) fn texts(&self) -> Vec<String> {
        self.keys.iter().map(|key| key.text.clone()).collect()
    }

    /// # Errors
    /// If it makes no sense for these keys, which are then as they were.
    pub(crate) fn apply(&mut self, request: &KeyRequest) -> Result<(), KeyError> {
        if self.keys.is_empty() {
            return Err(KeyError::NoKeys);
        }
        let find = |keys: &[Key], text: &str| {
            let wanted = Key::parse(text)?.text;
            Ok(keys.iter().position(|key| key.text == wanted))
        };
        match request {
            KeyRequest::List => {}
            KeyRequest::Install(text) => {
                if find(&self.keys, text)?.is_none() {
                    if self.keys.len() >= MOST_KEYS {
                        return Err(KeyError::Full);
                    }
                    self.keys.push(Key::parse(text)?);
                }
            }
            KeyRequest::Use(text) => {
                let at = find(&self.keys, text)?.ok_or(KeyError::Unknown)?;
                let key = self.keys.remove(at);
                self.keys.insert(0, key);
            }
            KeyRequest::Remove(text) => match find(&self.keys, text)? {
                Some(0) => return Err(KeyError::Primary),
                Some(at) => drop(self.keys.remove(at)),
                // What is gone is as it should be.
                None => {}
            },
        }
        Ok(())
    }

    /// Seals with the first key; `bound` is not hidden but has to be the same when it is opened.
    /// `None` without a key.
    pub(crate) fn seal(&self, plain: &[u8], bound: &[u8], chance: &mut impl Rng) -> Option<Vec<u8>> {
        let key = self.keys.first()?;
        let mut nonce = [0; NONCE];
        chance.fill_bytes(&mut nonce);
        let sealed = key.cipher.seal(&nonce, Payload { msg: plain, aad: bound })?;
        let mut whole = Vec::with_capacity(NONCE + sealed.len());
        whole.extend_from_slice(&nonce);
        whole.extend_from_slice(&sealed);
        Some(whole)
    }

    /// Opens with whichever key fits.
    pub(crate) fn open(&self, sealed: &[u8], bound: &[u8]) -> Option<Vec<u8>> {
        let (nonce, message) = sealed.split_first_chunk::<NONCE>()?;
        self.keys.iter().find_map(|key| key.cipher.open(nonce, Payload { msg: message, aad: bound }))
    }
}

#[cfg(test)]
mod tests {
    use rand_for_foca::SeedableRng;
    use rand_for_foca::rngs::StdRng;

    use super::*;

    const ONE: &str = "pUqJrVyVRj5jsiYEkM/tFQYfWyJIv4s3XkvDwy7Cu5s=";
    const TWO: &str = "cg8StVXbQJ0gPvMd9o7yrg==";
    const THREE: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";

    #[test]
    fn whatever_key_seals_the_same_opens_and_no_other() {
        let mut chance = StdRng::seed_from_u64(1);
        for key in [ONE, TWO, THREE] {
            let ring = Keyring::new(&[key.to_owned()]).unwrap();
            let sealed = ring.seal(b"hello", b"pool", &mut chance).unwrap();
            assert_eq!(sealed.len(), 5 + OVERHEAD);
            assert_eq!(ring.open(&sealed, b"pool").as_deref(), Some(&b"hello"[..]));
            assert_eq!(ring.open(&sealed, b"loop"), None, "bound to another pool");
            let mut broken = sealed.clone();
            broken[NONCE] ^= 1;
            assert_eq!(ring.open(&broken, b"pool"), None);
            assert_eq!(ring.open(&sealed[..10], b"pool"), None);
            let others: Vec<String> =
                [ONE, TWO, THREE].iter().filter(|other| **other != key).map(|&other| other.into()).collect();
            assert_eq!(Keyring::new(&others).unwrap().open(&sealed, b"pool"), None);
        }
        assert!(Keyring::default().seal(b"x", b"", &mut chance).is_none());
    }

    #[test]
    fn keys_are_rotated_without_a_moment_in_which_somebody_is_not_understood() {
        let mut chance = StdRng::seed_from_u64(2);
        let mut ring = Keyring::new(&[ONE.to_owned()]).unwrap();
        let old = ring.seal(b"old", b"", &mut chance).unwrap();
        ring.apply(&KeyRequest::Install(TWO.to_owned())).unwrap();
        ring.apply(&KeyRequest::Install(TWO.to_owned())).unwrap();
        assert_eq!(ring.texts(), [ONE, TWO]);
        assert_eq!(ring.apply(&KeyRequest::Remove(ONE.to_owned())), Err(KeyError::Primary));
        assert_eq!(ring.apply(&KeyRequest::Use(THREE.to_owned())), Err(KeyError::Unknown));
        ring.apply(&KeyRequest::Use(TWO.to_owned())).unwrap();
        assert_eq!(ring.texts(), [TWO, ONE]);
        assert_eq!(ring.open(&old, b"").as_deref(), Some(&b"old"[..]));
        ring.apply(&KeyRequest::Remove(ONE.to_owned())).unwrap();
        ring.apply(&KeyRequest::Remove(ONE.to_owned())).unwrap();
        assert_eq!(ring.open(&old, b""), None);
        assert_eq!(ring.apply(&KeyRequest::Install("abc".to_owned())), Err(KeyError::Malformed));
        assert_eq!(Keyring::default().apply(&KeyRequest::List), Err(KeyError::NoKeys));
    }
}
