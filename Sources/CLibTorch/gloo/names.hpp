// The names of Gloo that torch's ProcessGroupGloo.hpp mentions. PyTorch's wheel holds Gloo inside its library but not
// its headers; that header only points to these types, so their names suffice. Of its classes only ProcessGroupGloo
// and its Options may be made here.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

namespace gloo {

class Context {
 public:
  void setTimeout(std::chrono::milliseconds);
};

namespace transport {
class Device;
class UnboundBuffer;
}  // namespace transport

namespace rendezvous {
class Store {
 public:
  virtual void set(const std::string &, const std::vector<char> &) = 0;
  virtual std::vector<char> get(const std::string &) = 0;
  virtual void wait(const std::vector<std::string> &) = 0;
  virtual void wait(const std::vector<std::string> &, const std::chrono::milliseconds &) = 0;
};
}  // namespace rendezvous

}  // namespace gloo
