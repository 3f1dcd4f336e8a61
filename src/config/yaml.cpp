#include "yaml.hpp"

#include <fmt/core.h>
#include <yaml-cpp/depthguard.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <map>
#include <optional>
#include <sstream>

#include "hast/base/utf8.hpp"
#include "hast/config/config.hpp"

namespace hast::config::yaml {
namespace {

Mark mark_of(const YAML::Mark& mark) {
  return mark.is_null() ? Mark{} : Mark{mark.line + 1, mark.column + 1};
}

bool is_control(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte < 0x20 || byte == 0x7f;
}

std::size_t nodes_in(const Node& node) {
  std::size_t count = 1;
  for (const Node& item : node.items) count += nodes_in(item);
  return count;
}

/// Builds the tree from yaml-cpp's events. After the first problem it ignores the rest: yaml-cpp
/// goes on to the end of the text, which is bounded, but nothing is stored any more.
class TreeBuilder : public YAML::EventHandler {
 public:
  std::optional<Error> problem;
  Node root;

  void OnDocumentStart(const YAML::Mark& mark) override {
    root.mark = mark_of(mark);
    stack_.clear();
    anchors_.clear();
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    leaf({.mark = mark_of(mark)}, anchor);
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    if (problem) return;
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) return fail(mark_of(mark), "this alias refers to itself");
    if (!afford(mark_of(mark), nodes_in(found->second))) return;
    add(Node(found->second));
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    if (problem) return;
    if (std::any_of(value.begin(), value.end(), is_control))
      return fail(mark_of(mark), "a value must not contain control characters or line breaks");
    leaf({Node::Kind::scalar, tag == "!", value, mark_of(mark), {}}, anchor);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(Node::Kind::list, mark_of(mark), anchor);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(Node::Kind::map, mark_of(mark), anchor);
  }
  void OnMapEnd() override {
    if (!problem) check_keys(stack_.back().node);
    close();
  }

 private:
  struct Open {
    Node node;
    YAML::anchor_t anchor;
  };

  void fail(Mark mark, std::string_view text) { problem = error_at(mark, text); }

  bool afford(Mark mark, std::size_t count) {
    if (count <= kMaxNodes - used_) {
      used_ += count;
      return true;
    }
    fail(mark, fmt::format("the document has more than {} values after its aliases are expanded",
                           kMaxNodes));
    return false;
  }

  void leaf(Node node, YAML::anchor_t anchor) {
    if (problem || !afford(node.mark, 1)) return;
    finish(std::move(node), anchor);
  }
  void open(Node::Kind kind, Mark mark, YAML::anchor_t anchor) {
    if (problem || !afford(mark, 1)) return;
    if (stack_.size() == kMaxDepth)
      return fail(mark, fmt::format("nested more than {} levels deep", kMaxDepth));
    stack_.push_back({{.kind = kind, .mark = mark}, anchor});
  }
  void close() {
    if (problem) return;
    Open closed = std::move(stack_.back());
    stack_.pop_back();
    finish(std::move(closed.node), closed.anchor);
  }
  void finish(Node node, YAML::anchor_t anchor) {
    // An anchor keeps a copy: it counts like one more use.
    if (anchor != 0) {
      if (!afford(node.mark, nodes_in(node))) return;
      anchors_.insert_or_assign(anchor, node);
    }
    add(std::move(node));
  }
  void add(Node node) {
    if (stack_.empty()) {
      root = std::move(node);
    } else {
      stack_.back().node.items.push_back(std::move(node));
    }
  }

  void check_keys(const Node& map) {
    std::map<std::string_view, Mark> seen;
    for (std::size_t i = 0; i + 1 < map.items.size() && !problem; i += 2) {
      const Node& key = map.items[i];
      if (key.kind != Node::Kind::scalar) {
        fail(key.mark, "a key must be a word, not a list, a map or nothing");
      } else if (key.text == "<<" && !key.quoted) {
        fail(key.mark, "merge keys (<<) are not supported: write the keys out");
      } else if (const auto [first, added] = seen.emplace(key.text, key.mark); !added) {
        fail(key.mark, fmt::format("duplicate key \"{}\": it is already on line {}", key.text,
                                   first->second.line));
      }
    }
  }

  std::vector<Open> stack_;
  std::map<YAML::anchor_t, Node> anchors_;
  std::size_t used_ = 0;
};

/// yaml-cpp would take a 0x04 for the end of the file, and replace what is not UTF-8.
std::optional<Error> check_bytes(std::string_view text) {
  Mark mark;
  while (!text.empty()) {
    const char c = text.front();
    const std::size_t bytes = utf8_sequence_bytes(text);
    if (bytes == 0) return error_at(mark, "the file is not UTF-8 text");
    if (is_control(c) && c != '\t' && c != '\n' && c != '\r')
      return error_at(mark, fmt::format("control character 0x{:02x} in the file",
                                        static_cast<unsigned char>(c)));
    mark = c == '\n' ? Mark{mark.line + 1, 1} : Mark{mark.line, mark.column + 1};
    text.remove_prefix(bytes);
  }
  return std::nullopt;
}

}  // namespace

Error error_at(Mark mark, std::string_view text) {
  return {Errc::config_invalid, 0, fmt::format("{}:{}: {}", mark.line, mark.column, text)};
}

Result<Node> parse(std::string_view text) {
  if (text.size() > kMaxConfigBytes)
    return error_at({}, fmt::format("the file is bigger than {} bytes", kMaxConfigBytes));
  if (std::optional<Error> problem = check_bytes(text)) return *std::move(problem);

  TreeBuilder builder;
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    if (parser.HandleNextDocument(builder) && !builder.problem) {
      Node first = std::move(builder.root);
      if (parser.HandleNextDocument(builder))
        return error_at(builder.root.mark, "a second document: the configuration is one document");
      return first;
    }
  } catch (const YAML::DeepRecursion& thrown) {
    return error_at(mark_of(thrown.mark), "nested too deeply");
  } catch (const YAML::Exception& thrown) {
    return error_at(mark_of(thrown.mark), "not valid YAML: " + thrown.msg);
  } catch (const std::exception& thrown) {
    return error_at({}, std::string("not valid YAML: ") + thrown.what());
  }
  if (builder.problem) return *std::move(builder.problem);
  return std::move(builder.root);
}

}  // namespace hast::config::yaml
