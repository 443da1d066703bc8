//! Packets of OpenPGP (RFC 4880), as far as pgcrypto writes and reads them.
//!
//! Refuses everything else with `None`. Invariant: no length that is told is believed beyond what is there.

/// Packet tags (section 4.3).
pub(super) const SESSION_KEY: u8 = 1;
pub(super) const LITERAL: u8 = 11;
pub(super) const PROTECTED_DATA: u8 = 18;
const PUBLIC_KEY: u8 = 6;
const PUBLIC_SUBKEY: u8 = 14;

/// AES with a key of 256 bits (section 9.2).
pub(super) const CIPHER_AES_256: u8 = 9;
/// RSA (section 9.1): to encrypt or sign, or to encrypt alone.
const RSA: [u8; 2] = [1, 2];

/// What stands before the SHA-1 of an MDC (section 5.14).
pub(super) const MDC_HEADER: [u8; 2] = [0xd3, 0x14];

/// The first byte of a packet in the newer format (section 4.2).
const NEW_FORMAT: u8 = 0xc0;

fn take<'a>(rest: &mut &'a [u8], bytes: usize) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(bytes)?;
    *rest = after;
    Some(taken)
}

fn number(rest: &mut &[u8], bytes: usize) -> Option<usize> {
    Some(take(rest, bytes)?.iter().fold(0, |number, byte| number << 8 | usize::from(*byte)))
}

/// The body of the next packet, which has this tag, in the newer or the older format, in one part or several.
pub(super) fn read(rest: &mut &[u8], tag: u8) -> Option<Vec<u8>> {
    let first = number(rest, 1)? as u8;
    if first == 0x80 | tag << 2 | first & 3 && tag < 16 {
        let length = number(rest, *[1, 2, 4].get(usize::from(first & 3))?)?;
        return take(rest, length).map(<[u8]>::to_vec);
    }
    if first != NEW_FORMAT | tag {
        return None;
    }
    let mut body = Vec::new();
    loop {
        let first = number(rest, 1)?;
        let (length, last) = match first {
            0..192 => (first, true),
            192..224 => (((first - 192) << 8) + number(rest, 1)? + 192, true),
            224..255 => (1 << (first & 31), false),
            _ => (number(rest, 4)?, true),
        };
        body.extend_from_slice(take(rest, length)?);
        if last {
            return Some(body);
        }
    }
}

/// The session key under RSA, as many bytes as the modulus has: version 3, the id of the key, RSA, and a number (section 5.1). Whose key it
/// is, its id need not tell: it opens or it does not.
pub(super) fn encrypted_session_key(body: &[u8], modulus_bytes: usize) -> Option<Vec<u8>> {
    let [3, _, _, _, _, _, _, _, _, algorithm, high, low, number @ ..] = body else { return None };
    let bits = usize::from(u16::from_be_bytes([*high, *low]));
    let padding = modulus_bytes.checked_sub(number.len())?;
    let whole = RSA.contains(algorithm) && number.len() == bits.div_ceil(8);
    whole.then(|| [vec![0; padding], number.to_vec()].concat())
}

/// What a literal packet holds, after its format, a name and a time (section 5.9).
pub(super) fn literal_data(body: &[u8]) -> Option<&[u8]> {
    let [b'b', name_bytes, rest @ ..] = body else { return None };
    rest.get(usize::from(*name_bytes) + 4..)
}

/// A number, its bits before it (section 3.2).
fn write_number(number: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let start = number.iter().position(|byte| *byte != 0)?;
    let number = &number[start..];
    let bits = number.len() * 8 - number[0].leading_zeros() as usize;
    out.extend_from_slice(&u16::try_from(bits).ok()?.to_be_bytes());
    out.extend_from_slice(number);
    Some(())
}

/// The public half of an RSA key, read from its X.509 form: a key, which pgcrypto passes over, and the same as a subkey, which it encrypts to
/// (section 5.5.2, version 4). They are not signed: nobody but this program makes and reads them. The time in them is nobody's business.
pub(super) fn public_key(der: &[u8]) -> Option<Vec<u8>> {
    let mut rest = der;
    let mut whole = element(&mut rest, 0x30)?;
    element(&mut whole, 0x30)?;
    let bits = element(&mut whole, 0x03)?;
    let mut bits = bits.strip_prefix(&[0])?;
    let mut numbers = element(&mut bits, 0x30)?;
    let mut body = vec![4, 0, 0, 0, 0, RSA[0]];
    write_number(element(&mut numbers, 0x02)?, &mut body)?;
    write_number(element(&mut numbers, 0x02)?, &mut body)?;
    let length = u32::try_from(body.len()).ok()?.to_be_bytes();
    let packet = |tag: u8| [&[NEW_FORMAT | tag, 255][..], &length, &body].concat();
    Some([packet(PUBLIC_KEY), packet(PUBLIC_SUBKEY)].concat())
}

/// The next element of DER, which has this tag (X.690, section 8.1).
fn element<'a>(rest: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    if number(rest, 1)? != usize::from(tag) {
        return None;
    }
    let length = match number(rest, 1)? {
        short if short < 128 => short,
        long @ 129..=131 => number(rest, long & 127)?,
        _ => return None,
    };
    take(rest, length)
}
