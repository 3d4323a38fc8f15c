// Starts mongo-java-server as the tests' stand-in for MongoDB.
//
// usage: java -cp 'LIBRARIES/*' StandIn.java PORT memory|h2 [FILE]
//
// With h2 a command that changes something is answered once the file has it,
// whole or not at all, so that kill -9 loses nothing that was acknowledged:
// the backend by itself commits once a second, and in the middle of commands.
// The process ends when its standard input does, so that none is left behind.
import de.bwaldvogel.mongo.MongoBackend;
import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.backend.h2.H2Backend;
import de.bwaldvogel.mongo.backend.memory.MemoryBackend;
import de.bwaldvogel.mongo.bson.Document;
import de.bwaldvogel.mongo.wire.message.MongoMessage;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import java.util.function.Supplier;
import org.h2.mvstore.MVStore;

public class StandIn {
	/** H2 whose commands are durable; those of several clients share commits. */
	static class DurableBackend extends H2Backend {
		private final MVStore store;
		private final ReentrantReadWriteLock lock = new ReentrantReadWriteLock(true);
		private final Object commits = new Object();
		private final AtomicLong begun = new AtomicLong();
		private long committed;

		DurableBackend(MVStore store) {
			super(store);
			this.store = store;
		}

		@Override
		public Document handleMessage(MongoMessage message) {
			return durably(() -> super.handleMessage(message));
		}

		private Document durably(Supplier<Document> command) {
			long ticket;
			Document answer;
			boolean changed;
			lock.readLock().lock();
			try {
				answer = command.get();
				changed = store.hasUnsavedChanges();
				ticket = begun.incrementAndGet();
			} finally {
				lock.readLock().unlock();
			}
			if (changed)
				commitUpTo(ticket);
			return answer;
		}

		private void commitUpTo(long ticket) {
			synchronized (commits) {
				if (committed >= ticket)
					return;
				lock.writeLock().lock();
				try {
					long all = begun.get();
					store.commit();
					committed = all;
				} finally {
					lock.writeLock().unlock();
				}
			}
		}
	}

	static MongoBackend backend(String[] arguments) {
		if (arguments[1].equals("memory"))
			return new MemoryBackend();
		return new DurableBackend(new MVStore.Builder()
			.fileName(arguments[2]).autoCommitDisabled().open());
	}

	public static void main(String[] arguments) throws Exception {
		MongoServer server = new MongoServer(backend(arguments));
		Runtime.getRuntime().addShutdownHook(new Thread(server::shutdownNow));
		server.bind("127.0.0.1", Integer.parseInt(arguments[0]));
		System.out.println("ready");
		while (System.in.read() >= 0)
			;
		System.exit(0);
	}
}
