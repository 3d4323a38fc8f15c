// Starts mongo-java-server as the tests' stand-in for MongoDB.
//
// usage: java -cp 'LIBRARIES/*' StandIn.java PORT memory|h2 [FILE]
//
// With h2 a command that changes something is answered once the file has it,
// whole or not at all, so that kill -9 loses nothing that was acknowledged:
// the backend by itself commits once a second, and in the middle of commands.
// What it finds does not depend on what was read back from the file: KeyType.
// The process ends when its standard input does, so that none is left behind.
import de.bwaldvogel.mongo.MongoBackend;
import de.bwaldvogel.mongo.MongoCollection;
import de.bwaldvogel.mongo.MongoDatabase;
import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.backend.CollectionOptions;
import de.bwaldvogel.mongo.backend.Index;
import de.bwaldvogel.mongo.backend.IndexKey;
import de.bwaldvogel.mongo.backend.KeyValue;
import de.bwaldvogel.mongo.backend.h2.H2Backend;
import de.bwaldvogel.mongo.backend.h2.H2Database;
import de.bwaldvogel.mongo.backend.memory.MemoryBackend;
import de.bwaldvogel.mongo.bson.Document;
import de.bwaldvogel.mongo.wire.bson.BsonEncoder;
import de.bwaldvogel.mongo.wire.message.MongoMessage;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import org.h2.mvstore.MVMap;
import org.h2.mvstore.MVStore;
import org.h2.mvstore.type.ObjectDataType;

public class StandIn {
	/**
	 * Keys of H2's maps are compared by their BSON. H2 itself compares their Java
	 * serialization, in which the size of a hash table shows, another one once a
	 * page has left the cache and was read back: an _id that is a document and
	 * came by an upsert was in the index then, but no more in the collection, and
	 * every further upsert of it was answered as a duplicate.
	 */
	static class KeyType extends ObjectDataType {
		@Override
		public int compare(Object a, Object b) {
			Document left = asDocument(a), right = asDocument(b);
			if (left == null || right == null)
				return super.compare(a, b);
			return bson(left).compareTo(bson(right));
		}

		private static Document asDocument(Object key) {
			if (key instanceof KeyValue)
				return new Document("", ((KeyValue) key).stream()
					.collect(Collectors.toList()));
			return key instanceof Document ? (Document) key : null;
		}

		private static ByteBuf bson(Document document) {
			ByteBuf bytes = Unpooled.buffer();
			BsonEncoder.encodeDocument(document, bytes);
			return bytes;
		}
	}

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

		/** Who opens a map first says how its keys are compared. */
		private void open(String map) {
			getMvStore().openMap(map, new MVMap.Builder<Object, Object>()
				.keyType(new KeyType()));
		}

		@Override
		protected MongoDatabase openOrCreateDatabase(String name) {
			return new H2Database(name, getMvStore(), getCursorRegistry()) {
				@Override
				protected MongoCollection<Object> openOrCreateCollection(
						String collection, CollectionOptions options) {
					open("databases." + name + "." + collection);
					return super.openOrCreateCollection(collection, options);
				}

				@Override
				protected Index<Object> openOrCreateUniqueIndex(
						String collection, String index,
						List<IndexKey> keys, boolean sparse) {
					open(name + "." + collection + "._index_" + index);
					return super.openOrCreateUniqueIndex(collection, index,
						keys, sparse);
				}
			};
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
			.fileName(arguments[2]).autoCommitDisabled()
			.autoCommitBufferSize(0).open());
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
