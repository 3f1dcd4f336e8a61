// The metadata of a component, read and written at once: what hastctl does while no hastd has the
// component. hastd itself does the same through its core, operation by operation.
#pragma once

#include "hast/adapter/component.hpp"
#include "hast/ondisk/layout.hpp"
#include "hast/ondisk/metadata.hpp"

namespace hastctl {

/// The newer of the two copies, wherever the second is. Errors: component_unformatted,
/// metadata_damaged, io_failed.
hast::Result<hast::ondisk::Metadata> read_metadata(hast::adapter::Component& component);

/// Makes `component` a new resource: no earlier copy survives, both copies are written, the map is
/// cleared, and all of it is on stable storage on success. At every moment either the old identity
/// is complete or the new one, which was never connected, makes the next connection a full resync
/// (INV-4, INV-10). Errors: io_failed, and those of layout_of().
hast::Result<void> write_new_metadata(hast::adapter::Component& component,
                                      const hast::ondisk::Metadata& metadata,
                                      hast::ondisk::Format format);

}  // namespace hastctl
