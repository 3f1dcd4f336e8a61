// Runs a fuzz harness without libFuzzer: each file of a corpus as it is, then a fixed number of
// mutations of it, seeded by the file's name, so that every run and every compiler does the same.
//
// Usage: fuzz_replay_NAME CORPUS [FILE ROUND]. Dies as the harness does, after one line that says
// how to repeat the input.
#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <system_error>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
// Of the sanitizers' runtime, when there is one: they leave without a signal.
extern "C" __attribute__((weak)) void __sanitizer_set_death_callback(void (*callback)());

namespace {

using Input = std::vector<std::uint8_t>;

constexpr int kRounds = 150;
constexpr std::size_t kMaxGrowth = 64;

struct Place {
  const char* program;
  std::string corpus, file;
  int round;
} place;

void say_place() {
  std::fprintf(stderr, "\nThat input again: %s %s %s %d\n", place.program, place.corpus.c_str(),
               place.file.c_str(), place.round);
}

void say_place_and_die(int signal_number) {
  say_place();
  std::signal(signal_number, SIG_DFL);
  std::raise(signal_number);
}

Input read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Mutations: each changes `input` somewhere at or after `at`, which is within it.

using Position = Input::difference_type;

void cut(Input& input, Position at, const Input&, std::mt19937&) {
  input.resize(static_cast<std::size_t>(at));
}

void insert(Input& input, Position at, const Input&, std::mt19937& random) {
  const std::size_t count = 1 + random() % kMaxGrowth;  // named: arguments have no order
  input.insert(input.begin() + at, count, static_cast<std::uint8_t>(random()));
}

void remove(Input& input, Position at, const Input&, std::mt19937& random) {
  const auto count = std::min<Position>(std::ssize(input) - at, 1 + random() % kMaxGrowth);
  input.erase(input.begin() + at, input.begin() + at + count);
}

void flip(Input& input, Position at, const Input&, std::mt19937& random) {
  input[static_cast<std::size_t>(at)] ^= static_cast<std::uint8_t>(1U << random() % 8);
}

void replace(Input& input, Position at, const Input&, std::mt19937& random) {
  input[static_cast<std::size_t>(at)] = static_cast<std::uint8_t>(random());
}

/// A number at which lengths go wrong.
void exaggerate(Input& input, Position at, const Input&, std::mt19937& random) {
  constexpr std::uint32_t numbers[] = {0, 1, 7, 8, 0x7fffffff, 0x80000000, 0xfffffff8, 0xffffffff};
  const std::uint32_t number = numbers[random() % std::size(numbers)];
  const auto count = std::min<Position>(std::ssize(input) - at, sizeof number);
  std::memcpy(input.data() + at, &number, static_cast<std::size_t>(count));
}

/// Goes on as another input of the corpus does.
void splice(Input& input, Position at, const Input& other, std::mt19937&) {
  if (std::ssize(other) <= at) return;
  input.resize(static_cast<std::size_t>(at));
  input.insert(input.end(), other.begin() + at, other.end());
}

constexpr auto kMutations = {cut, insert, remove, flip, replace, exaggerate, splice};

void mutate(Input& input, const Input& other, std::mt19937& random) {
  for (auto times = 1 + random() % 4; times > 0 && !input.empty(); --times) {
    const auto at = static_cast<Position>(random() % input.size());
    kMutations.begin()[random() % kMutations.size()](input, at, other, random);
  }
}

struct Corpus {
  std::vector<std::string> names;
  std::vector<Input> inputs;
};

Corpus read_corpus(const std::filesystem::path& folder) {
  Corpus corpus;
  std::error_code missing;
  for (const auto& entry : std::filesystem::directory_iterator(folder, missing))
    if (entry.is_regular_file()) corpus.names.push_back(entry.path().filename().string());
  std::sort(corpus.names.begin(), corpus.names.end());
  for (const std::string& name : corpus.names) corpus.inputs.push_back(read_file(folder / name));
  return corpus;
}

/// Round 0 is the file as it is. The name seeds the rest: adding a file changes only what is
/// spliced.
Input input_of(const Corpus& corpus, std::size_t index, int round) {
  Input input = corpus.inputs[index];
  if (round == 0) return input;
  const std::string seed_text = corpus.names[index] + ' ' + std::to_string(round);
  std::seed_seq seed(seed_text.begin(), seed_text.end());
  std::mt19937 random(seed);
  mutate(input, corpus.inputs[random() % corpus.inputs.size()], random);
  return input;
}

void run(const Corpus& corpus, std::size_t index, int round) {
  place.file = corpus.names[index];
  place.round = round;
  const Input input = input_of(corpus, index, round);
  // Of exactly its size, so that a sanitizer sees the first byte read past it.
  const std::vector<std::uint8_t> exact(input.begin(), input.end());
  LLVMFuzzerTestOneInput(exact.data(), exact.size());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2 && argc != 4)
    return std::fprintf(stderr, "Usage: %s CORPUS [FILE ROUND]\n", argv[0]), 2;
  place.program = argv[0];
  place.corpus = argv[1];
  std::signal(SIGABRT, say_place_and_die);
  if (__sanitizer_set_death_callback != nullptr) {
    __sanitizer_set_death_callback(say_place);
  } else {
    for (const int deadly : {SIGSEGV, SIGBUS, SIGFPE, SIGILL})
      std::signal(deadly, say_place_and_die);
  }
  const Corpus corpus = read_corpus(argv[1]);
  if (corpus.names.empty()) return std::fprintf(stderr, "%s has no files.\n", argv[1]), 1;
  int runs = 0;
  for (std::size_t index = 0; index < corpus.names.size(); ++index) {
    if (argc == 4 && corpus.names[index] != argv[2]) continue;
    for (int round = 0; round <= kRounds; ++round)
      if (argc == 2 || round == std::atoi(argv[3])) run(corpus, index, round), ++runs;
  }
  std::printf("%zu files, %d inputs.\n", corpus.names.size(), runs);
  return runs > 0 ? 0 : 1;
}
