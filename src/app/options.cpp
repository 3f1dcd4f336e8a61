#include "hast/app/options.hpp"

#include <boost/program_options.hpp>

namespace hast::app {

namespace po = boost::program_options;

namespace {

/// A switch that counts how often it was given: -d, -dd.
class CountSwitch : public po::typed_value<int> {
 public:
  explicit CountSwitch(int* count) : po::typed_value<int>(count), count_(count) {
    default_value(0);
  }
  unsigned min_tokens() const override { return 0; }
  unsigned max_tokens() const override { return 0; }
  bool is_composing() const override { return true; }
  void xparse(boost::any& value, const std::vector<std::string>&) const override {
    value = boost::any(++given_);
    *count_ = given_;
  }

 private:
  int* count_;
  mutable int given_ = 0;
};

po::options_description description(Options& options, std::string& pidfile, std::string& node) {
  po::options_description described;
  auto add = described.add_options();
  add("config,c", po::value(&options.config));
  add("debug,d", new CountSwitch(&options.debug_level));
  add("foreground,F", po::bool_switch(&options.foreground));
  add("help,h", po::bool_switch(&options.help));
  add("pidfile,P", po::value(&pidfile));
  add("node", po::value(&node));
  add("version", po::bool_switch(&options.version));
  return described;
}

}  // namespace

std::string_view usage_text() {
  return "hastd: [-dFh] [-c config] [-P pidfile] [--node name] [--version]\n";
}

Result<Options> parse_options(const std::vector<std::string>& arguments) {
  Options options;
  std::string pidfile;
  std::string node;
  try {  // third-party throws end here
    const po::options_description known = description(options, pidfile, node);
    po::variables_map values;
    po::store(po::command_line_parser(arguments).options(known).positional({}).run(), values);
    po::notify(values);
    if (values.count("pidfile") != 0) options.pidfile = pidfile;
    if (values.count("node") != 0) options.node = node;
  } catch (const po::error& error) {
    return Error{Errc::usage, 0, error.what()};
  }
  return options;
}

}  // namespace hast::app
