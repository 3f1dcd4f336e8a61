#include "hastctl/words.hpp"

namespace hastctl {

std::string sentence(const hast::Error& error) {
  std::string text = error.message();
  if (!text.empty() && text[0] >= 'a' && text[0] <= 'z')
    text[0] = static_cast<char>(text[0] - 'a' + 'A');
  return text;
}

}  // namespace hastctl
