// Exceptions that cross frames in several threads, thread-local objects, condition variables,
// futures and std::call_once.
#include <atomic>
#include <condition_variable>
#include <future>
#include <iostream>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

static std::atomic<int> destroyed;

struct Guard {
    ~Guard() { destroyed++; }
};

struct PerThread {
    std::string name = "unnamed";
    ~PerThread() { destroyed += 1000; }
};

static thread_local PerThread per_thread;

static int sink(int depth) {
    Guard guard;
    if (depth == 0)
        throw std::out_of_range("bottom");
    return sink(depth - 1) + 1;
}

static int caught(int rounds) {
    int count = 0;
    for (int i = 0; i < rounds; i++) {
        try {
            sink(10);
        } catch (const std::exception &error) {
            count += std::string(error.what()) == "bottom";
        }
    }
    return count;
}

int main() {
    std::vector<std::future<int>> results;
    for (int t = 0; t < 4; t++)
        results.push_back(std::async(std::launch::async, [t] {
            per_thread.name = std::to_string(t);
            return caught(500);
        }));
    int total = 0;
    for (auto &result : results)
        total += result.get();
    std::cout << "caught " << total << " destroyed " << destroyed << "\n";

    auto failing = std::async(std::launch::async, []() -> int { throw std::runtime_error("there"); });
    try {
        failing.get();
    } catch (const std::runtime_error &error) {
        std::cout << "carried over from " << error.what() << "\n";
    }

    std::mutex mutex;
    std::condition_variable changed;
    int turn = 0;
    std::vector<std::thread> players;
    for (int player = 0; player < 2; player++)
        players.emplace_back([&, player] {
            for (int i = 0; i < 1000; i++) {
                std::unique_lock<std::mutex> lock(mutex);
                changed.wait(lock, [&] { return turn % 2 == player; });
                turn++;
                changed.notify_one();
            }
        });
    for (auto &player : players)
        player.join();
    std::cout << "turns " << turn << "\n";
    try {
        std::vector<char> huge;
        huge.reserve(size_t(1) << 60);
        std::cout << "huge " << huge.capacity() << "\n";
    } catch (const std::bad_alloc &) {
        std::cout << "no memory for it\n";
    }
    return 6;
}
