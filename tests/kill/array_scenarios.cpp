// SPDX-License-Identifier: Apache-2.0
// Scenarios of streams and tensors, and the judgement of what is left after a death.
#include "array_scenarios.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <thread>

#include "shmlane/stream.hpp"
#include "shmlane/tensor.hpp"
#include "support/raw_segment.hpp"
#include "victim.hpp"

namespace kill_tests {
namespace {
using namespace std::chrono_literals;
using processes::expect;
using shmlane::DType;
using shmlane::Stream;
using shmlane::Tensor;

constexpr std::size_t kWords = 300;
constexpr std::chrono::nanoseconds kPatience = 20s;

using Words = std::vector<std::uint64_t>;

Stream create(const std::string& name) {
  return Stream::create(name, DType::of<std::uint64_t>(), {static_cast<std::int64_t>(kWords)});
}

// Each value says which one it is.
void write_next(Stream& stream) {
  expect(stream.write(Words(kWords, stream.count() + 1), kPatience).has_value(), "a write");
}

std::shared_ptr<Stream> open(const std::string& name) { return std::make_shared<Stream>(Stream::open(name)); }

Tensor create_tensor(const std::string& name) {
  return Tensor::create(name, DType::of<std::uint64_t>(), {static_cast<std::int64_t>(kWords)});
}
std::shared_ptr<Tensor> attach_tensor(const std::string& name) {
  return std::make_shared<Tensor>(Tensor::attach(name));
}

Act attach(const std::string& name) {
  return [name] { open(name); };
}
Act make_anew(const std::string& name) {
  return [name] { write_next(*std::make_shared<Stream>(create(name))); };
}
Act write_some(const std::string& name) {
  return [stream = open(name)] {
    for (int i = 0; i < 5; ++i) write_next(*stream);
  };
}
std::uint64_t value_bell(const std::string& name) {
  return std::atomic_ref(raw::Segment(name).stream().value_bell.value).load();
}

Act write_to_a_sleeper(const std::string& name) {
  processes::wait_until([&] { return value_bell(name) % 2 == 1; });
  return write_some(name);
}
Act fill_a_view(const std::string& name) {
  return [stream = open(name)] {
    for (const bool commit : {false, true}) {
      auto view = stream->write_view(true);
      std::ranges::fill(view->as<std::uint64_t>(), stream->count() + 1);
      if (commit) view->commit();
    }
  };
}
Act clear(const std::string& name) {
  return [stream = open(name)] { stream->clear(); };
}
Act lock_and_write(const std::string& name) {
  return [stream = open(name)] {
    stream->acquire();
    write_next(*stream);
    stream->release();
  };
}
Act wait_in_vain(const std::string& name) {
  return [stream = open(name)] { stream->wait_after(stream->count(), 150ms); };
}
Act wait_for_the_lock(const std::string& name) {
  return [name, holder = open(name), stream = open(name)] {
    holder->acquire();
    expect(!stream->acquire(20ms), "the lock is held");
    holder->release();
    stream->acquire();
    stream->release();
  };
}
Act take_the_lock_from_the_dead(const std::string& name) {
  predecessor([&] {
    const auto dead = open(name);
    auto view = dead->write_view();
    view->as<std::uint64_t>()[0] = ~0U;
    die();
  });
  return [stream = open(name)] { write_next(*stream); };
}
Act close(const std::string& name) {
  return [stream = open(name)] { stream->close(); };
}
Act remove_and_make_anew(const std::string& name) {
  return [name] {
    shmlane::unlink_stream(name);
    create(name);
  };
}

Act make_tensor(const std::string& name) {
  return [name] { std::make_shared<Tensor>(create_tensor(name)); };
}
Act make_tensor_of_data(const std::string& name) {
  return [name, data = Words(kWords, 5)] { std::make_shared<Tensor>(Tensor::create(name, shmlane::NdView::of(data))); };
}
Act read_under_lock(const std::string& name) {
  return [tensor = attach_tensor(name)] {
    expect(tensor->lock_shared(), "the read lock");
    tensor->unlock_shared();
  };
}
Act write_under_lock(const std::string& name) {
  return [tensor = attach_tensor(name), reader = attach_tensor(name)] {
    expect(reader->lock_shared() && !tensor->lock(20ms), "the write lock beside a reader");
    reader->unlock_shared();
    expect(tensor->lock() && !reader->lock_shared(20ms), "the read lock beside a writer");
    tensor->unlock();
  };
}
Act read_after_a_dead_writer(const std::string& name) {
  predecessor([&] {
    const auto dead = attach_tensor(name);
    static_cast<void>(dead->lock());
    die();
  });
  return read_under_lock(name);
}
Act write_after_a_dead_reader(const std::string& name) {
  predecessor([&] {
    const auto dead = attach_tensor(name);
    static_cast<void>(dead->lock_shared());
    die();
  });
  return write_under_lock(name);
}

void check_value(const Stream& stream, bool cleared) {
  Words value(kWords);
  const std::uint64_t count = stream.read(value);
  expect(std::ranges::count(value, value[0]) == std::ssize(value), "a torn value");
  expect(value[0] == count || (cleared && value[0] == 0), "another value than the newest");
}

// Sleeps until the victim, or the judge, has written.
class Sleeper {
 public:
  explicit Sleeper(const std::string& name)
      : stream_(Stream::open(name, {.spin = 0ns})),
        from_(stream_.count()),
        thread_([this] { woken_ = stream_.wait_after(from_, kPatience); }) {}
  void join() {
    thread_.join();
    expect(woken_, "a sleeper was not woken");
  }

 private:
  Stream stream_;
  std::uint64_t from_;
  bool woken_ = false;
  std::thread thread_;
};

// Whoever was there, and whoever comes, finds a whole value and goes on.
void judge(const std::string& name, const ArrayScenario& scenario, Stream* survivor) {
  if (survivor != nullptr) {
    try {
      check_value(*survivor, scenario.cleared);
      write_next(*survivor);
      check_value(*survivor, scenario.cleared);
    } catch (const shmlane::Removed&) {
      expect(scenario.name.starts_with("remove"), "the stream was removed");
    }
  }
  const auto newcomer = [&] {
    try {
      return create(name);
    } catch (const shmlane::Exists&) {
      return Stream::open(name);
    }
  }();
  check_value(newcomer, scenario.cleared);
  Stream writer = Stream::open(name);
  for (int i = 0; i < 6; ++i) {
    write_next(writer);
    check_value(newcomer, false);
  }
  shmlane::unlink_stream(name);
}

void judge_tensor(const std::string& name, const ArrayScenario& scenario, Tensor* survivor) {
  const auto use = [](Tensor& tensor) {
    expect(tensor.lock_shared(kPatience), "the read lock");
    tensor.unlock_shared();
    expect(tensor.lock(kPatience), "the write lock");
    tensor.unlock();
  };
  if (survivor != nullptr) use(*survivor);
  bool found = false;
  Tensor newcomer = [&] {
    try {
      return create_tensor(name);
    } catch (const shmlane::Exists&) {
      found = true;
      return Tensor::attach(name);
    }
  }();
  const auto words = newcomer.as<std::uint64_t>();
  expect(std::ranges::count(words, found && scenario.of_data ? 5U : 0U) == std::ssize(words), "a tensor half filled");
  use(newcomer);
  newcomer.unlink();
}

}  // namespace

const std::vector<ArrayScenario>& array_scenarios() {
  static const std::vector<ArrayScenario> all{
      {"open a stream", true, attach},
      {"create a stream", false, make_anew},
      {"write", true, write_some},
      {"write while somebody waits", true, write_to_a_sleeper, false, true},
      {"fill views", true, fill_a_view},
      {"clear", true, clear, true},
      {"lock and write", true, lock_and_write},
      {"wait for a value", true, wait_in_vain},
      {"wait for the lock", true, wait_for_the_lock},
      {"take the lock from the dead", true, take_the_lock_from_the_dead},
      {"close", true, close},
      {"remove a stream and make it anew", true, remove_and_make_anew},
      {"create a tensor", false, make_tensor, false, false, true},
      {"create a tensor of data", false, make_tensor_of_data, false, false, true, true},
      {"read a tensor under its lock", true, read_under_lock, false, false, true},
      {"write a tensor under its lock", true, write_under_lock, false, false, true},
      {"read after a writer died", true, read_after_a_dead_writer, false, false, true},
      {"write after a reader died", true, write_after_a_dead_reader, false, false, true},
  };
  return all;
}

bool run_array_world(const std::string& name, const ArrayScenario& scenario, const Wrap& wrap,
                     const Executioner& execute) {
  std::unique_ptr<Stream> survivor;
  std::unique_ptr<Tensor> tensor;
  if (scenario.made && scenario.tensor) {
    tensor = std::make_unique<Tensor>(create_tensor(name));
  } else if (scenario.made) {
    survivor = std::make_unique<Stream>(create(name));
    for (int i = 0; i < 3; ++i) write_next(*survivor);
  }
  std::unique_ptr<Sleeper> sleeper;
  processes::Child victim([&] { wrap(scenario.prepare(name)); });
  // Not before the fork: a child must not inherit a thread's work half done.
  if (scenario.sleeper) sleeper = std::make_unique<Sleeper>(name);
  const bool killed = execute(victim);
  if (scenario.tensor) {
    judge_tensor(name, scenario, tensor.get());
    return killed;
  }
  judge(name, scenario, survivor.get());
  if (sleeper) sleeper->join();
  return killed;
}

}  // namespace kill_tests
