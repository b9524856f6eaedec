//! What travels beside a payload, on its way out: checked and duplicated before anything is sent.

use std::cell::RefCell;

use ipmb_bus::limits::{OBJECTS_PER_MESSAGE, REGIONS_PER_MESSAGE};
use ipmb_transport::region;
use ipmb_transport::sys::Fd;
use napi_derive::napi;

use crate::failure::{Result, invalid, refused};
use crate::object::Descriptor;
use crate::region::Region;

/// Objects and regions of one message.
#[napi]
#[derive(Default)]
pub struct Luggage {
    objects: RefCell<Vec<Fd>>,
    regions: RefCell<Vec<region::Region>>,
}

impl Luggage {
    /// Takes all of it out, once.
    pub(crate) fn take(&self) -> (Vec<Fd>, Vec<region::Region>) {
        (self.objects.take(), self.regions.take())
    }

    fn push_region(&self, region: region::Region, argument: &str) -> Result<()> {
        let mut regions = self.regions.borrow_mut();
        if regions.len() == REGIONS_PER_MESSAGE {
            return Err(invalid(format!("{argument} holds more than {REGIONS_PER_MESSAGE}: give at most so many")));
        }
        regions.push(region);
        Ok(())
    }
}

#[napi]
impl Luggage {
    /// Nothing yet.
    #[napi(constructor, catch_unwind)]
    pub fn new() -> Luggage {
        Luggage::default()
    }

    /// A duplicate of an object goes along.
    #[napi(catch_unwind)]
    pub fn object(&self, object: &Descriptor) -> Result<()> {
        if self.objects.borrow().len() == OBJECTS_PER_MESSAGE {
            return Err(invalid(format!("objects holds more than {OBJECTS_PER_MESSAGE}: give at most so many")));
        }
        let fd = object.duplicate()?;
        self.objects.borrow_mut().push(fd);
        Ok(())
    }

    /// A region goes along, given as this argument.
    #[napi(catch_unwind)]
    pub fn region(&self, region: &Region, argument: String) -> Result<()> {
        self.push_region(region.get()?, &argument)
    }

    /// A region with a copy of these bytes goes along, given as this argument.
    #[napi(catch_unwind)]
    pub fn copy(&self, data: &[u8], argument: String) -> Result<()> {
        let failed = |error: std::io::Error| refused("a MemoryRegion cannot be made", &error);
        let region = region::Region::create("ipmb-region", data.len()).map_err(failed)?;
        region.map(0, data.len()).and_then(|view| view.write(0, data)).map_err(failed)?;
        self.push_region(region, &argument)
    }

    /// Lets go of all that was not taken out: the collector does not know how few descriptors there are.
    #[napi(catch_unwind)]
    pub fn close(&self) {
        drop(self.take());
    }
}
