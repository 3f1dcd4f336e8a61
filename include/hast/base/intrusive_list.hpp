// A doubly linked list through a node the element inherits: no allocation, O(1) removal from the
// middle. An element is in at most one list per node type; the list does not own its elements.
#pragma once

#include <cstddef>

#include "hast/base/assert.hpp"

namespace hast {

/// Inherit once per list an element can be in at the same time; `Tag` tells them apart.
template <class Tag = void>
class ListNode {
 public:
  ListNode() = default;
  ListNode(const ListNode&) = delete;
  ListNode& operator=(const ListNode&) = delete;
  ~ListNode() { HAST_ASSERT(!is_linked()); }
  bool is_linked() const { return next_ != nullptr; }

 private:
  template <class T, class U>
  friend class IntrusiveList;
  ListNode* next_ = nullptr;
  ListNode* previous_ = nullptr;
};

template <class T, class Tag = void>
class IntrusiveList {
  using Node = ListNode<Tag>;

 public:
  class iterator {
   public:
    explicit iterator(Node* node) : node_(node) {}
    T& operator*() const { return static_cast<T&>(*node_); }
    T* operator->() const { return &static_cast<T&>(*node_); }
    iterator& operator++() {
      node_ = IntrusiveList::next(node_);
      return *this;
    }
    bool operator==(const iterator&) const = default;

   private:
    Node* node_;
  };

  IntrusiveList() { head_.next_ = head_.previous_ = &head_; }
  ~IntrusiveList() {
    HAST_ASSERT(empty());
    head_.next_ = head_.previous_ = nullptr;
  }
  IntrusiveList(const IntrusiveList&) = delete;
  IntrusiveList& operator=(const IntrusiveList&) = delete;

  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }
  iterator begin() { return iterator(head_.next_); }
  iterator end() { return iterator(&head_); }
  T& front() {
    HAST_ASSERT(!empty());
    return static_cast<T&>(*head_.next_);
  }

  void push_back(T& element) { insert_before(head_, element); }
  void push_front(T& element) { insert_before(*head_.next_, element); }
  T* pop_front() {
    if (empty()) return nullptr;
    T& element = front();
    erase(element);
    return &element;
  }
  void erase(T& element) {
    Node& node = element;
    HAST_ASSERT(node.is_linked());
    node.previous_->next_ = node.next_;
    node.next_->previous_ = node.previous_;
    node.next_ = node.previous_ = nullptr;
    --size_;
  }
  /// Moves all of `other` to the end of this list.
  void splice_back(IntrusiveList& other) {
    while (T* element = other.pop_front()) push_back(*element);
  }

 private:
  static Node* next(Node* node) { return node->next_; }
  void insert_before(Node& place, T& element) {
    Node& node = element;
    HAST_ASSERT(!node.is_linked());
    node.previous_ = place.previous_;
    node.next_ = &place;
    place.previous_->next_ = &node;
    place.previous_ = &node;
    ++size_;
  }

  Node head_;
  std::size_t size_ = 0;
};

}  // namespace hast
