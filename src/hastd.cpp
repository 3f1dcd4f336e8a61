#include <string>
#include <vector>

#include "hast/app/daemon.hpp"

int main(int argc, char** argv) {
  return hast::app::run(std::vector<std::string>(argv + (argc > 0 ? 1 : 0), argv + argc));
}
