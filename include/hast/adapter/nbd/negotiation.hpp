// The option haggling of one connection (fixed newstyle), as a state machine that is fed with what
// the client sent and says what to answer. No socket, no clock: whoever owns it reads exactly the
// bytes it asks for and bounds the time.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hast/adapter/nbd/protocol.hpp"

namespace hast::adapter::nbd {

/// The data of a longer option are skipped, not read: a name of the greatest legal length and
/// more information requests than there are fit.
inline constexpr std::size_t kMaxOptionBytes = kMaxStringBytes + 1024;

/// An end to haggling that never ends (INV-9).
inline constexpr int kMaxOptions = 1024;

/// The export as it is at the moment of an answer.
struct Offer {
  std::string_view name;
  std::string_view description;
  std::optional<port::VolumeInfo> volume;  // nullopt: it is refused,
  std::string_view reason;                 // with this reason
};

class Negotiation {
 public:
  enum class Next : std::uint8_t {
    option,        // read the next option
    transmission,  // the volume of the offer is the client's now
    close,         // end the connection once the bytes are sent
  };
  struct Answer {
    Next next = Next::option;
    std::vector<std::byte> bytes{};
    std::string note{};  // for the log: why the client was refused or dropped; empty: nothing
  };

  static std::array<std::byte, kGreetingBytes> greeting();
  Answer accept_flags(std::uint32_t client_flags);
  /// `data` are the header's length_bytes, at most kMaxOptionBytes.
  Answer accept_option(OptionHeader header, ConstByteSpan data, const Offer& offer);
  /// After the data of an option with more than kMaxOptionBytes were skipped.
  Answer accept_skipped_option(OptionHeader header);

  ReplyStyle reply_style() const { return style_; }

 private:
  Answer export_name(ConstByteSpan data, const Offer& offer) const;
  Answer list(ConstByteSpan data, const Offer& offer) const;
  Answer info_or_go(OptionHeader header, ConstByteSpan data, const Offer& offer) const;
  Answer structured_reply(ConstByteSpan data);

  ReplyStyle style_ = ReplyStyle::simple;
  bool no_zeroes_ = false;
  int options_ = 0;
};

}  // namespace hast::adapter::nbd
