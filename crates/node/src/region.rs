//! Memory that several processes hold, and pools of it.

use std::cell::RefCell;

use ipmb_binding::failure::{Failure, Kind};
use ipmb_binding::registry;
use ipmb_transport::FreezeError;
use ipmb_transport::region;
use napi::bindgen_prelude::{ArrayBuffer, Buffer, Env};
use napi_derive::napi;

use crate::external;
use crate::failure::{Result, invalid, refused, told, unable};

/// A hold on shared memory.
#[napi]
pub struct Region {
    region: RefCell<Option<region::Region>>,
}

/// A size or an offset, which the face has checked to be a whole number.
pub(crate) fn bytes(argument: &str, given: f64) -> Result<usize> {
    // What is not a number of bytes saturates, and is too much for anybody.
    if given >= 0.0 && given.fract() == 0.0 {
        Ok(given as usize)
    } else {
        Err(invalid(format!("{argument} is {given}")))
    }
}

impl Region {
    pub(crate) fn new(region: region::Region) -> Region {
        Region { region: RefCell::new(Some(region)) }
    }

    /// The region, while it is not closed.
    pub(crate) fn get(&self) -> Result<region::Region> {
        self.region.borrow().clone().ok_or_else(|| invalid("MemoryRegion is closed: its memory is let go"))
    }
}

/// Room for a copy. Whoever made a region has chosen how large it is: that there is no memory must not end the process.
fn room(len: usize) -> Result<Vec<u8>> {
    let mut room = Vec::new();
    let none = |_| told(Failure::new(Kind::OutOfMemory, format!("there is no memory for a copy of {len} bytes")));
    room.try_reserve_exact(len).map_err(none)?;
    Ok(room)
}

#[napi]
impl Region {
    /// New memory of so many bytes.
    #[napi(factory, catch_unwind)]
    pub fn create(size: f64) -> Result<Region> {
        let made = region::Region::create("ipmb-region", bytes("size", size)?);
        made.map(Region::new).map_err(|error| refused("a MemoryRegion cannot be made", &error))
    }

    /// Bytes in it.
    #[napi(getter, catch_unwind)]
    pub fn size(&self) -> Result<f64> {
        Ok(self.get()?.size() as f64)
    }

    /// All of it, without a copy; of a read-only one a copy of one's own, made page by page where it is written to.
    #[napi(catch_unwind)]
    pub fn show<'env>(&self, env: &'env Env) -> Result<ArrayBuffer<'env>> {
        let region = self.get()?;
        let view =
            region.map_writable(0, region.size()).map_err(|error| refused("the region cannot be mapped", &error))?;
        external::array_buffer(env, view).map_err(unable)
    }

    /// Copies bytes in. They may be bytes of the region itself.
    #[napi(catch_unwind)]
    pub fn write(&self, data: &[u8], offset: f64) -> Result<()> {
        let failed = |error| refused("the region cannot be written", &error);
        let view = self.get()?.map(bytes("offset", offset)?, data.len()).map_err(failed)?;
        if !view.is_writable() {
            return Err(told(Failure::new(Kind::System, "the region is read-only: it is frozen, or was sent so")));
        }
        let (start, from) = (view.as_ptr().addr(), data.as_ptr().addr());
        let copied;
        let data = if start < from + data.len() && from < start + view.len() {
            let mut copy = room(data.len())?;
            copy.extend_from_slice(data);
            copied = copy;
            &copied
        } else {
            data
        };
        view.write(0, data).map_err(failed)
    }

    /// A copy of some of its bytes.
    #[napi(catch_unwind)]
    pub fn read(&self, offset: f64, len: f64) -> Result<Buffer> {
        let (region, offset) = (self.get()?, bytes("offset", offset)?);
        let len = bytes("size", len)?.min(region.size());
        let mut copy = room(len)?;
        copy.resize(len, 0);
        region.read(offset, &mut copy).map_err(|error| refused("the region cannot be read", &error))?;
        Ok(copy.into())
    }

    /// How many endpoints hold it.
    #[napi(catch_unwind)]
    pub fn ref_count(&self) -> Result<u32> {
        let count = self.get()?.ref_count().map_err(|error| refused("the holders cannot be counted", &error))?;
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }

    /// Whether it is read-only for everybody.
    #[napi(catch_unwind)]
    pub fn is_frozen(&self) -> Result<bool> {
        Ok(self.get()?.is_frozen())
    }

    /// Makes it read-only for everybody.
    #[napi(catch_unwind)]
    pub fn freeze(&self) -> Result<()> {
        self.get()?.freeze().map_err(|error| match error {
            FreezeError::Viewed => {
                let text = "the region has a buffer of map() that was not collected yet: fill it with write(), before it is mapped";
                told(Failure::new(Kind::Busy, text))
            }
            error => told(error),
        })
    }

    /// Another hold on the same memory.
    #[napi(catch_unwind)]
    pub fn again(&self) -> Result<Region> {
        self.get().map(Region::new)
    }

    /// Gives up this hold. Closing twice is fine.
    #[napi(catch_unwind)]
    pub fn close(&self) {
        let region = self.region.borrow_mut().take();
        drop(region);
    }

    /// Whether this hold is given up.
    #[napi(getter, catch_unwind)]
    pub fn closed(&self) -> bool {
        self.region.borrow().is_none()
    }
}

/// A pool of regions; a number says what is to be done when one is free again.
#[napi]
pub struct Registry {
    pool: registry::Registry<u32>,
}

#[napi]
impl Registry {
    /// An empty pool.
    #[napi(constructor, catch_unwind)]
    pub fn new() -> Registry {
        Registry { pool: registry::Registry::default() }
    }

    /// A region of at least so many bytes that nobody else holds.
    #[napi(catch_unwind)]
    pub fn alloc(&self, min_size: f64, tag: Option<String>, number: Option<u32>) -> Result<Region> {
        let size = bytes("minSize", min_size)?;
        let made = self.pool.alloc(size, tag.as_deref(), number);
        made.map(Region::new).map_err(|(error, _)| refused("a MemoryRegion cannot be made", &error))
    }

    /// The numbers of what is to be done now, each once.
    #[napi(catch_unwind)]
    pub fn due(&self) -> Vec<u32> {
        self.pool.due()
    }

    /// Gives memory back to the system that nobody has held for a while.
    #[napi(catch_unwind)]
    pub fn trim(&self) {
        self.pool.trim();
    }
}
