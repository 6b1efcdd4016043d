//! The extreme values of each datatype.

use std::fmt;

use half::{bf16, f16};

use serin_core::types::Datatype;

/// A value, or a kind of values, that kernels may not expect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extreme {
    /// The least whole number of the datatype.
    Least,
    /// A whole number that becomes the least one of 32 bits where it is cut to 32 bits.
    LeastOf32,
    /// An unsigned number that becomes the least one of 64 bits.
    LeastOf64,
    /// A whole number that becomes -1 where it is cut to 32 bits.
    MinusOneOf32,
    /// The largest whole number of the datatype.
    Most,
    /// -1; of floats those that become -1 as whole numbers, more than -2 and at most -1.
    MinusOne,
    /// 0, of either sign.
    Zero,
    /// Not a number.
    Nan,
    /// Positive infinity.
    Infinity,
    /// Negative infinity.
    NegativeInfinity,
    /// A finite number of a magnitude of 2^31 or more: it becomes no whole number of 32 bits, and
    /// beyond 2^63 none of 64. Tried with the datatype's largest and least number.
    Huge,
    /// Any real number that becomes no whole number of 32 bits: of the four kinds above.
    Unfit,
    /// A string without a character.
    EmptyText,
    /// A string that is no UTF-8.
    NotUtf8,
}

/// 2^31.
const BEYOND_32: f64 = 2_147_483_648.0;

impl Extreme {
    /// The extremes that an input of this datatype is tried with, each by itself.
    pub(super) fn of(datatype: Datatype) -> &'static [Self] {
        use Extreme::{
            EmptyText, Huge, Infinity, Least, LeastOf32, LeastOf64, MinusOne, MinusOneOf32, Most,
            Nan, NegativeInfinity, NotUtf8, Zero,
        };
        match datatype {
            Datatype::Bool => &[],
            Datatype::Uint8 | Datatype::Uint16 => &[Most, Zero],
            Datatype::Uint32 => &[Most, LeastOf32, Zero],
            Datatype::Uint64 => &[Most, LeastOf64, LeastOf32, MinusOneOf32, Zero],
            Datatype::Int8 | Datatype::Int16 | Datatype::Int32 => &[Least, Most, MinusOne, Zero],
            Datatype::Int64 => &[Least, LeastOf32, Most, MinusOne, MinusOneOf32, Zero],
            Datatype::Fp16 => &[Nan, Infinity, NegativeInfinity, MinusOne, Zero],
            Datatype::Bf16 | Datatype::Fp32 | Datatype::Fp64 => {
                &[Nan, Infinity, NegativeInfinity, Huge, MinusOne, Zero]
            }
            Datatype::Bytes => &[EmptyText, NotUtf8],
        }
    }

    /// Dividends that have no quotient by -1, as the datatype's own numbers or as what they are cast to.
    pub(super) fn least(datatype: Datatype) -> &'static [Self] {
        match datatype {
            Datatype::Int8 | Datatype::Int16 | Datatype::Int32 => &[Self::Least],
            Datatype::Int64 => &[Self::Least, Self::LeastOf32],
            Datatype::Uint32 => &[Self::LeastOf32],
            Datatype::Uint64 => &[Self::LeastOf64, Self::LeastOf32],
            Datatype::Fp16 | Datatype::Bf16 | Datatype::Fp32 | Datatype::Fp64 => &[Self::Unfit],
            Datatype::Bool | Datatype::Uint8 | Datatype::Uint16 | Datatype::Bytes => &[],
        }
    }

    /// Divisors that are -1, or are cast to it.
    pub(super) fn minus_one(datatype: Datatype) -> &'static [Self] {
        match datatype {
            Datatype::Int64 => &[Self::MinusOne, Self::MinusOneOf32],
            Datatype::Uint32 => &[Self::Most],
            Datatype::Uint64 => &[Self::Most, Self::MinusOneOf32],
            Datatype::Bool | Datatype::Uint8 | Datatype::Uint16 | Datatype::Bytes => &[],
            _ => &[Self::MinusOne],
        }
    }

    /// An element that is it; `None` where the datatype has none.
    pub(super) fn element(self, datatype: Datatype) -> Option<Vec<u8>> {
        if datatype == Datatype::Bytes {
            return match self {
                Self::EmptyText => Some(Vec::new()),
                Self::NotUtf8 => Some(vec![0xff, 0xfe, 0x00, 0xc3]),
                _ => None,
            };
        }
        if datatype.is_float() {
            let value = self.real()?;
            return Some(match datatype {
                Datatype::Fp16 => f16::from_f64(value).to_le_bytes().to_vec(),
                // The largest of 32 bits rounds to infinity in 16.
                Datatype::Bf16 if value == f64::from(f32::MAX) => bf16::MAX.to_le_bytes().to_vec(),
                Datatype::Bf16 => bf16::from_f64(value).to_le_bytes().to_vec(),
                Datatype::Fp32 => (value as f32).to_le_bytes().to_vec(),
                _ => value.to_le_bytes().to_vec(),
            });
        }
        let value = self.whole(datatype)?;
        let width = datatype.width()?;
        Some(value.to_le_bytes()[..width].to_vec())
    }

    fn real(self) -> Option<f64> {
        Some(match self {
            Self::Nan | Self::Unfit => f64::NAN,
            Self::Infinity => f64::INFINITY,
            Self::NegativeInfinity => f64::NEG_INFINITY,
            Self::Huge => f64::from(f32::MAX),
            Self::MinusOne => -1.0,
            Self::Zero => 0.0,
            _ => return None,
        })
    }

    fn whole(self, datatype: Datatype) -> Option<i128> {
        let bits = u32::try_from(datatype.width()? * 8).ok()?;
        let signed = matches!(
            datatype,
            Datatype::Int8 | Datatype::Int16 | Datatype::Int32 | Datatype::Int64
        );
        Some(match self {
            Self::Least if signed => -(1i128 << (bits - 1)),
            Self::LeastOf32 if signed => i128::from(i32::MIN),
            Self::LeastOf32 => 1 << 31,
            Self::LeastOf64 => 1 << 63,
            Self::MinusOneOf32 => i128::from(u32::MAX),
            Self::Most if signed => (1i128 << (bits - 1)) - 1,
            Self::Most => (1i128 << bits) - 1,
            Self::MinusOne if signed => -1,
            Self::Zero => 0,
            _ => return None,
        })
    }

    /// Whether an element is it.
    pub(super) fn is(self, datatype: Datatype, element: &[u8]) -> bool {
        if datatype == Datatype::Bytes {
            return match self {
                Self::EmptyText => element.is_empty(),
                Self::NotUtf8 => std::str::from_utf8(element).is_err(),
                _ => false,
            };
        }
        if !datatype.is_float() {
            // The bytes are little-endian: the first four are what is left of 64 bits.
            let low = element.first_chunk().map(|low| i32::from_le_bytes(*low));
            match self {
                Self::LeastOf32 => return low == Some(i32::MIN),
                Self::MinusOneOf32 => return low == Some(-1),
                _ => {}
            }
            return self.element(datatype).is_some_and(|own| own == element);
        }
        let Some(value) = real_of(datatype, element) else {
            return false;
        };
        match self {
            Self::Nan => value.is_nan(),
            Self::Infinity => value == f64::INFINITY,
            Self::NegativeInfinity => value == f64::NEG_INFINITY,
            Self::Huge => value.is_finite() && value.abs() >= BEYOND_32,
            Self::Unfit => value.is_nan() || value.abs() >= BEYOND_32,
            Self::MinusOne => value > -2.0 && value <= -1.0,
            Self::Zero => value == 0.0,
            _ => false,
        }
    }
}

fn real_of(datatype: Datatype, element: &[u8]) -> Option<f64> {
    Some(match datatype {
        Datatype::Fp16 => f16::from_le_bytes(element.try_into().ok()?).to_f64(),
        Datatype::Bf16 => bf16::from_le_bytes(element.try_into().ok()?).to_f64(),
        Datatype::Fp32 => f64::from(f32::from_le_bytes(element.try_into().ok()?)),
        Datatype::Fp64 => f64::from_le_bytes(element.try_into().ok()?),
        _ => return None,
    })
}

impl fmt::Display for Extreme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Least => "the least number of the datatype",
            Self::LeastOf32 => "a number that is -2147483648 when cut to 32 bits",
            Self::LeastOf64 => "9223372036854775808",
            Self::MinusOneOf32 => "a number that is -1 when cut to 32 bits",
            Self::Most => "the largest number of the datatype",
            Self::MinusOne => "-1",
            Self::Zero => "0",
            Self::Nan => "NaN",
            Self::Infinity => "+Inf",
            Self::NegativeInfinity => "-Inf",
            Self::Huge => "a number of 2^31 or more in magnitude",
            Self::Unfit => "NaN, an infinity or a number of 2^31 or more in magnitude",
            Self::EmptyText => "an empty string",
            Self::NotUtf8 => "a string that is no UTF-8",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_element_of_an_extreme_is_that_extreme_and_an_ordinary_one_is_none() {
        for datatype in Datatype::ALL {
            let paired = [Extreme::least(datatype), Extreme::minus_one(datatype)].concat();
            for extreme in Extreme::of(datatype).iter().chain(&paired) {
                let element = extreme.element(datatype).unwrap();
                if let Some(width) = datatype.width() {
                    assert_eq!(element.len(), width);
                }
                assert!(extreme.is(datatype, &element), "{datatype} {extreme}");
                let mut one = vec![0; element.len().max(2)];
                one[0] = 1;
                let ordinary = !datatype.is_float() && extreme.is(datatype, &one);
                assert!(!ordinary, "{datatype} {extreme}");
            }
        }
    }

    #[test]
    fn a_kind_of_values_holds_those_that_were_not_tried_themselves() {
        for value in [2_147_483_648f32, -3e9, 1e30] {
            assert!(Extreme::Huge.is(Datatype::Fp32, &value.to_le_bytes()));
        }
        assert!(!Extreme::Huge.is(Datatype::Fp32, &2e9f32.to_le_bytes()));
        assert!(Extreme::Unfit.is(Datatype::Fp32, &f32::NAN.to_le_bytes()));
        for value in [2_147_483_648i64, -2_147_483_648, 6_442_450_944] {
            assert!(Extreme::LeastOf32.is(Datatype::Int64, &value.to_le_bytes()));
        }
        assert!(!Extreme::LeastOf32.is(Datatype::Int64, &i64::MIN.to_le_bytes()));
        assert!(Extreme::MinusOneOf32.is(Datatype::Int64, &4_294_967_295i64.to_le_bytes()));
        assert!(Extreme::MinusOne.is(Datatype::Fp32, &(-1.5f32).to_le_bytes()));
        assert!(!Extreme::MinusOne.is(Datatype::Fp32, &(-2f32).to_le_bytes()));
        assert!(Extreme::Zero.is(Datatype::Fp32, &(-0.0f32).to_le_bytes()));
        assert!(!Extreme::MinusOne.is(Datatype::Int64, &1i64.to_le_bytes()));
    }
}
