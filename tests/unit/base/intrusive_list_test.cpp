#include "hast/base/intrusive_list.hpp"

#include <string>

#include "support/catch.hpp"

namespace {

struct ByAge;

struct Item : hast::ListNode<>, hast::ListNode<ByAge> {
  explicit Item(char letter) : name(letter) {}
  char name;
};

using List = hast::IntrusiveList<Item>;
using AgeList = hast::IntrusiveList<Item, ByAge>;

template <class L>
std::string names(L& list) {
  std::string text;
  for (Item& item : list) text += item.name;
  return text;
}

template <class L>
void clear(L& list) {
  while (list.pop_front() != nullptr) {
  }
}

}  // namespace

TEST_CASE("a list keeps the order in which its elements were put") {
  Item a('a');
  Item b('b');
  Item c('c');
  List list;
  CHECK(list.empty());
  CHECK(list.pop_front() == nullptr);
  list.push_back(b);
  list.push_back(c);
  list.push_front(a);
  CHECK(names(list) == "abc");
  CHECK(list.size() == 3);
  CHECK(&list.front() == &a);
  clear(list);
  CHECK(list.empty());
}

TEST_CASE("an element leaves from anywhere and may come back") {
  Item a('a');
  Item b('b');
  Item c('c');
  List list;
  for (Item* item : {&a, &b, &c}) list.push_back(*item);
  list.erase(b);
  CHECK(names(list) == "ac");
  list.erase(a);
  CHECK(names(list) == "c");
  list.push_back(b);
  CHECK(names(list) == "cb");
  list.erase(c);
  list.erase(b);
  CHECK(list.size() == 0);
}

TEST_CASE("an element can be in lists of different tags at the same time") {
  Item a('a');
  Item b('b');
  List list;
  AgeList ages;
  list.push_back(a);
  list.push_back(b);
  ages.push_back(b);
  ages.push_back(a);
  list.erase(a);
  CHECK(names(list) == "b");
  CHECK(names(ages) == "ba");
  clear(list);
  clear(ages);
}

TEST_CASE("splicing moves all elements behind the own ones") {
  Item a('a');
  Item b('b');
  Item c('c');
  List list;
  List other;
  list.push_back(a);
  other.push_back(b);
  other.push_back(c);
  list.splice_back(other);
  CHECK(names(list) == "abc");
  CHECK(other.empty());
  clear(list);
}
