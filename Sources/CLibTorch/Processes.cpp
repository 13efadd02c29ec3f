// torch's c10d: groups of processes, and gradients averaged over them.
#include "Internal.hpp"

// A CUDA build of LibTorch has the first header; the others, which torch's own include, come in packages beside it.
#if __has_include(<c10/cuda/impl/cuda_cmake_macros.h>) && __has_include(<nccl.h>) && \
    __has_include(<cuda_runtime.h>) && __has_include(<cublas_v2.h>) && __has_include(<cublasLt.h>) && \
    __has_include(<cusparse.h>) && __has_include(<cusolverDn.h>)
#define USE_C10D_NCCL
#endif
#define USE_C10D_GLOO

#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/distributed/c10d/FileStore.hpp>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#include <torch/csrc/distributed/c10d/reducer.hpp>

#include <type_traits>

struct CTGroup {
  c10::intrusive_ptr<c10d::Store> store;
  c10::intrusive_ptr<c10d::ProcessGroup> group;
};
struct CTReducer {
  c10d::Reducer reducer;
};

namespace {

using Milliseconds = std::chrono::milliseconds;
using GroupPointer = c10::intrusive_ptr<c10d::ProcessGroup>;

c10::intrusive_ptr<c10d::Store> meet(const CTMeeting &meeting, int32_t count, Milliseconds timeout) {
  c10::intrusive_ptr<c10d::Store> store;
  if (meeting.file) {
    store = c10::make_intrusive<c10d::FileStore>(meeting.file, count);
  } else {
    c10d::TCPStoreOptions options;
    options.port = meeting.port;
    options.isServer = meeting.listens;
    options.waitWorkers = false;
    options.timeout = timeout;
    options.multiTenant = true;
    store = c10::make_intrusive<c10d::TCPStore>(meeting.host, options);
  }
  store = c10::make_intrusive<c10d::PrefixStore>(meeting.name, store);
  // Some may come minutes after the others; Gloo itself would wait no longer than for a collective.
  const auto place = store->add("here", 1);
  TORCH_CHECK(place <= count, "there are ", count, " already, maybe of a job that is about to end");
  if (place == count) store->set("all", "1");
  store->wait({"all"}, timeout);
  return store;
}

void wait(const c10::intrusive_ptr<c10d::Work> &work) {
  if (work) work->wait();
}

std::vector<at::Tensor> list(CTTensor *const *tensors, int64_t count) {
  std::vector<at::Tensor> result;
  for (int64_t i = 0; i < count; i++) result.push_back(tensors[i]->value);
  return result;
}

struct Sum : torch::autograd::Function<Sum> {
  static at::Tensor forward(torch::autograd::AutogradContext *context, const at::Tensor &input, GroupPointer group) {
    context->saved_data["group"] = c10::IValue::make_capsule(group);
    return sum(input, group);
  }

  static torch::autograd::variable_list backward(
      torch::autograd::AutogradContext *context, torch::autograd::variable_list gradients) {
    auto group = c10::static_intrusive_pointer_cast<c10d::ProcessGroup>(context->saved_data["group"].toCapsule());
    return {sum(gradients[0], group), at::Tensor()};
  }

 private:
  static at::Tensor sum(const at::Tensor &input, const GroupPointer &group) {
    std::vector<at::Tensor> tensors{input.clone(at::MemoryFormat::Contiguous)};
    wait(group->allreduce(tensors));
    return tensors[0];
  }
};

// torch 2.13 has asked for one more list than versions before it.
template <class Reducer, class... Arguments>
std::unique_ptr<CTReducer> make_reducer(Arguments... arguments) {
  if constexpr (std::is_constructible_v<Reducer, Arguments..., std::vector<int64_t>>)
    return std::unique_ptr<CTReducer>(new CTReducer{Reducer(arguments..., std::vector<int64_t>())});
  else
    return std::unique_ptr<CTReducer>(new CTReducer{Reducer(arguments...)});
}

}  // namespace

int ct_group_new(const CTMeeting *meeting, int32_t rank, int32_t count, int64_t meeting_timeout, int64_t timeout,
                 CTGroup **result) {
  return guarded([&] {
    const Milliseconds patience(timeout);
    auto store = meet(*meeting, count, Milliseconds(meeting_timeout));
    store->setTimeout(patience);
    auto group = c10::make_intrusive<c10d::ProcessGroup>(store, rank, count);
    group->setGroupName(meeting->name);
    group->setDefaultBackend(c10d::ProcessGroup::BackendType::GLOO);
    group->setBackend(
        c10::DeviceType::CPU, c10d::ProcessGroup::BackendType::GLOO,
        c10::make_intrusive<c10d::ProcessGroupGloo>(
            c10::make_intrusive<c10d::PrefixStore>("gloo", store), rank, count,
            c10d::ProcessGroupGloo::Options::create_default(patience)));
#ifdef USE_C10D_NCCL
    if (at::hasCUDA()) {
      auto options = c10d::ProcessGroupNCCL::Options::create();
      options->timeout = patience;
      group->setBackend(
          c10::DeviceType::CUDA, c10d::ProcessGroup::BackendType::NCCL,
          c10::make_intrusive<c10d::ProcessGroupNCCL>(
              c10::make_intrusive<c10d::PrefixStore>("nccl", store), rank, count, options));
    }
#endif
    *result = new CTGroup{std::move(store), std::move(group)};
  });
}

void ct_group_free(CTGroup *group) { delete group; }

int ct_group_all_reduce(const CTGroup *group, CTTensor *const *tensors, int64_t count) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    auto values = list(tensors, count);
    wait(group->group->allreduce_coalesced(values));
  });
}

int ct_group_sum(const CTGroup *group, const CTTensor *tensor, CTTensor **result) {
  return guarded([&] { *result = wrap(Sum::apply(tensor->value, group->group)); });
}

int ct_group_broadcast(const CTGroup *group, CTTensor *tensor, int32_t root) {
  return guarded([&] {
    std::vector<at::Tensor> tensors{tensor->value};
    c10d::BroadcastOptions options;
    options.rootRank = root;
    wait(group->group->broadcast(tensors, options));
  });
}

int ct_group_send(const CTGroup *group, const CTTensor *tensor, int32_t destination) {
  return guarded([&] {
    std::vector<at::Tensor> tensors{tensor->value};
    wait(group->group->send(tensors, destination, 0));
  });
}

int ct_group_receive(const CTGroup *group, CTTensor *tensor, int32_t source) {
  return guarded([&] {
    std::vector<at::Tensor> tensors{tensor->value};
    wait(group->group->recv(tensors, source, 0));
  });
}

int ct_group_count(const CTGroup *group, const char *counter, int64_t amount, int64_t *result) {
  return guarded([&] { *result = group->store->add(counter, amount); });
}

int ct_reducer_new(const CTGroup *group, CTTensor *const *parameters, int64_t count, CTReducer **result) {
  return guarded([&] {
    auto tensors = list(parameters, count);
    // Gradients come about in the reverse order of use. After the first step the buckets follow the order seen.
    std::vector<at::Tensor> reversed(tensors.rbegin(), tensors.rend());
    const std::vector<size_t> limits{c10d::kDefaultFirstBucketBytes, c10d::kDefaultBucketBytesCap};
    auto [buckets, _] = c10d::compute_bucket_assignment_by_size(reversed, limits);
    for (auto &bucket : buckets)
      for (auto &index : bucket) index = tensors.size() - 1 - index;
    *result = make_reducer<c10d::Reducer>(
                  tensors, buckets, group->group, std::vector<bool>(tensors.size(), false),
                  int64_t(c10d::kDefaultBucketBytesCap), /* find_unused_parameters */ false,
                  /* gradient_as_bucket_view */ true, std::unordered_map<size_t, std::string>(),
                  int64_t(c10d::kDefaultFirstBucketBytes), /* skip_all_reduce_unused_params */ false,
                  /* use_python_reducer */ false)
                  .release();
  });
}

int ct_reducer_prepare(CTReducer *reducer) {
  return guarded([&] {
    reducer->reducer.rebuild_buckets();
    reducer->reducer.prepare_for_forward();
    reducer->reducer.prepare_for_backward({});
  });
}

void ct_reducer_free(CTReducer *reducer) { delete reducer; }
