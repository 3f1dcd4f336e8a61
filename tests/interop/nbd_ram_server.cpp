// The NBD front-end over plain memory, for other people's clients:
//   nbd_ram_server ADDRESS SIZE [NAME] [slots=N] [sector=N] [withdrawn]
// Prints its location once it listens and ends on SIGTERM or SIGINT.
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "hast/adapter/nbd/export.hpp"
#include "support/ram_sink.hpp"

namespace {

namespace asio = boost::asio;
namespace nbd = hast::adapter::nbd;

struct Arguments {
  hast::Address listen;
  std::string name = "ram";
  hast::test::RamSinkOptions sink;
  bool withdrawn = false;
};

/// Value of "key=value" as a number, 0 if the word is another.
std::uint64_t number_of(std::string_view word, std::string_view key) {
  if (!word.starts_with(key)) return 0;
  return hast::parse_size(word.substr(key.size())).value_or(0);
}

bool parse(int argc, char** argv, Arguments& arguments) {
  if (argc < 3) return false;
  const auto address = hast::Address::parse(argv[1], 0);
  const auto size = hast::parse_size(argv[2]);
  if (!address || !size) return false;
  arguments.listen = *address;
  arguments.sink.size_bytes = *size;
  arguments.sink.slots = 128;
  for (int i = 3; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (const auto slots = number_of(word, "slots=")) {
      arguments.sink.slots = slots;
    } else if (const auto sector = number_of(word, "sector=")) {
      arguments.sink.sector_bytes = static_cast<std::uint32_t>(sector);
    } else if (word == "withdrawn") {
      arguments.withdrawn = true;
    } else {
      arguments.name = word;
    }
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  if (!parse(argc, argv, arguments)) {
    std::fprintf(stderr,
                 "usage: nbd_ram_server ADDRESS SIZE [NAME] [slots=N] [sector=N] [withdrawn]\n");
    return 64;
  }
  asio::io_context context(1);
  hast::test::RamSink* turning = nullptr;
  hast::test::RamSink sink(arguments.sink, [&] { asio::post(context, [&] { turning->turn(); }); });
  turning = &sink;
  nbd::NbdOptions options;
  options.listen = arguments.listen;
  options.export_name = arguments.name;
  options.description = "memory of nbd_ram_server";
  nbd::NbdExport server(context.get_executor(), std::move(options));

  if (const auto started = server.start(); !started) {
    std::fprintf(stderr, "nbd_ram_server: %s\n", started.error().message().c_str());
    return 1;
  }
  if (arguments.withdrawn) {
    server.withdraw("resource ram is secondary on this node", [] {});
  } else if (!server.serve(sink)) {
    return 1;
  }
  asio::signal_set signals(context, SIGTERM, SIGINT);
  signals.async_wait(
      [&](auto, int) { server.withdraw("the server ends", [&] { server.stop([] {}); }); });
  std::printf("%s\n", server.location().c_str());
  std::fflush(stdout);
  context.run();
  return sink.all_free() ? 0 : 1;
}
