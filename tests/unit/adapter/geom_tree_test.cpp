#include "../../../src/adapter/ggate/geom_tree.hpp"

#include <string>

#include "support/catch.hpp"

using hast::adapter::ggate::reads_component;

namespace {

const std::string kReads =
    "<consumer id=\"0xf1\"><geom ref=\"0xa1\"/><provider ref=\"0xb2\"/>"
    "<mode>r1w0e0</mode></consumer>";

/// As a kernel says it, without the white space: a gate, and the geom that puts it into /dev.
std::string tree(const std::string& name, const std::string& consumer) {
  return "<mesh><class id=\"0x1\"><name>DEV</name><geom id=\"0xd1\"><class ref=\"0x1\"/><name>" +
         name + "</name><rank>2</rank>" + kReads +
         "</geom></class><class id=\"0x2\"><name>GATE</name><geom id=\"0xa0\"><class "
         "ref=\"0x2\"/><name>hast/first</name><rank>2</rank><config><unit>0</unit></config>" +
         kReads + "<provider id=\"0xb0\"><name>" + name +
         "</name></provider></geom><geom id=\"0xa1\"><class ref=\"0x2\"/><name>" + name +
         "</name><rank>1</rank><config><unit>1</unit></config>" + consumer +
         "<provider id=\"0xb1\"><name>" + name +
         "</name></provider></geom></class><class id=\"0x3\"><name>MD</name></class></mesh>";
}

}  // namespace

TEST_CASE("the kernel's tree of disks tells whether a gate still reads from its component") {
  CHECK(reads_component(tree("hast/shared", kReads), "hast/shared"));
  CHECK_FALSE(reads_component(tree("hast/shared", ""), "hast/shared"));
  CHECK(reads_component(tree("hast/shared", ""), "hast/first"));
  CHECK_FALSE(reads_component(tree("hast/shared", kReads), "hast/share"));
  CHECK_FALSE(reads_component("", "hast/shared"));
  CHECK_FALSE(reads_component("<name>GATE</name><geom id=", "hast/shared"));
}
