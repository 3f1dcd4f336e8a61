#include <string>
#include <vector>

#include "hast/adapter/daemonize.hpp"
#include "hast/app/daemon.hpp"

int main(int argc, char** argv) {
  hast::adapter::occupy_standard_descriptors();
  return hast::app::run(std::vector<std::string>(argv + (argc > 0 ? 1 : 0), argv + argc));
}
