/* The texts of pages and mails, side by side in English and French. */
#include "cloud-service/text.h"

#include "common/error.h"

/* A no-break space, which French puts before some punctuation. */
#define NB "\u00a0"

struct row {
	const char *name;
	const char *text[TEXT_LANGUAGE_COUNT];
};

static const struct row rows[] = {
    {"t.language", {"English", "Français"}},
    {"t.home", {"Mail for {{domain}}", "Courrier de {{domain}}"}},
    {"t.home-unknown", {"Mail delivery", "Remise du courrier"}},
    {"t.footer",
     {"This page sets no cookie, runs no script and loads nothing from other "
      "sites. It never asks for a password.",
      "Cette page ne dépose aucun cookie, n’exécute aucun script et ne charge "
      "rien d’ailleurs. Elle ne demande jamais de mot de passe."}},

    {"t.open-title",
     {"One step, and your message is delivered",
      "Une étape, et votre message est remis"}},
    {"t.open-lead",
     {"Your message has arrived and is kept safe. Your address is not known "
      "here yet, so please show, once, that a person wrote it.",
      "Votre message est arrivé et il est en sûreté. Votre adresse n’est pas "
      "encore connue ici" NB ": montrez, une seule fois, qu’une personne l’a "
      "écrit."}},
    {"t.your-message", {"Your message", "Votre message"}},
    {"t.from", {"From", "De"}},
    {"t.to", {"To", "À"}},
    {"t.more", {"and {{more}} more", "et {{more}} de plus"}},
    {"t.subject", {"Subject", "Objet"}},
    {"t.sent", {"Arrived", "Arrivé"}},
    {"t.image-alt",
     {"Picture of the six letters and digits to type",
      "Image des six lettres et chiffres à saisir"}},
    {"t.answer-label",
     {"Type the six characters of the picture",
      "Saisissez les six caractères de l’image"}},
    {"t.answer-hint",
     {"Capital or small letters: both are fine.",
      "Majuscules ou minuscules" NB ": peu importe."}},
    {"t.submit", {"Deliver my message", "Remettre mon message"}},
    {"t.another", {"Show another picture", "Afficher une autre image"}},
    {"t.wrong",
     {"That was not what the picture showed. Here is a new one. "
      "Attempts left: {{left}}.",
      "Ce n’était pas ce que montrait l’image. En voici une nouvelle. "
      "Essais restants" NB ": {{left}}."}},
    {"t.wrong-empty",
     {"Please type the six characters of the picture.",
      "Veuillez saisir les six caractères de l’image."}},
    {"t.replaced",
     {"The picture was replaced meanwhile, in another window perhaps. Your "
      "answer was not counted. Please read the new one.",
      "L’image a été remplacée entre-temps, peut-être dans une autre "
      "fenêtre. Votre réponse n’a pas été comptée. Veuillez lire la "
      "nouvelle image."}},
    {"t.no-more-images",
     {"There are no more new pictures. Please answer this one.",
      "Il n’y a plus de nouvelle image. Veuillez répondre à celle-ci."}},

    {"t.why", {"Why do I see this page?", "Pourquoi cette page" NB "?"}},
    {"t.why-text",
     {"Most mail in the world is sent by machines to people who never asked "
      "for it. {{domain}} therefore holds the first message of an unknown "
      "sender until a person confirms it. You do this once.",
      "La plupart du courrier dans le monde est envoyé par des machines à "
      "des gens qui n’ont rien demandé. {{domain}} retient donc le premier "
      "message d’un expéditeur inconnu jusqu’à ce qu’une personne le "
      "confirme. Vous ne le faites qu’une fois."}},
    {"t.next", {"What happens next?", "Et ensuite" NB "?"}},
    {"t.next-text",
     {"Your message is delivered within a minute or so, unchanged, and so are "
      "others of yours that wait here. Your next ones pass directly. If you "
      "do nothing, it goes on waiting: the recipient can still release it. "
      "This link works until {{expires}}.",
      "Votre message est remis en une minute environ, tel quel, comme les "
      "autres messages de vous qui attendent ici. Les suivants passeront "
      "directement. Si vous ne faites rien, il continue d’attendre" NB
      ": le destinataire peut encore le libérer. Ce lien est valable "
      "jusqu’au {{expires}}."}},
    {"t.kept", {"What is kept?", "Qu’est-ce qui est conservé" NB "?"}},
    {"t.kept-text",
     {"Your address is noted as one of a person, so that you are not asked "
      "again. For the message itself: who wrote to whom, when, its size and, "
      "for some organisations, its subject. What you type here is compared "
      "and not kept; a log notes when and from which network address.",
      "Votre adresse est notée comme celle d’une personne, afin que la "
      "question ne vous soit plus posée. Pour le message" NB ": qui a écrit "
      "à qui, quand, sa taille et, chez certaines organisations, son objet. "
      "Ce que vous saisissez ici est comparé et n’est pas conservé" NB
      "; un journal note quand et depuis quelle adresse réseau."}},
    {"t.blind",
     {"I cannot see or read the picture",
      "Je ne peux pas voir ou lire l’image"}},
    {"t.blind-text",
     {"You need not answer. Tell the recipient another way, by telephone for "
      "instance, that a message from you is waiting: the recipient can "
      "release it without this page.",
      "Vous n’avez pas à répondre. Dites au destinataire par un autre moyen, "
      "par téléphone par exemple, qu’un message de vous attend" NB
      ": il peut le libérer sans passer par cette page."}},
    {"t.not-me",
     {"I did not write this message", "Je n’ai pas écrit ce message"}},
    {"t.not-me-text",
     {"Then someone else used your address. Close this page and do nothing: "
      "the message is not delivered by this page, and you need not answer.",
      "Quelqu’un d’autre s’est alors servi de votre adresse. Fermez cette "
      "page et ne faites rien" NB ": elle ne remettra pas le message, et "
      "vous n’avez pas à répondre."}},

    {"t.solved-title",
     {"Thank you. Your message is on its way",
      "Merci. Votre message est en route"}},
    {"t.solved-lead",
     {"It is being handed to the recipient’s mail server, exactly as you "
      "wrote it.",
      "Il est en cours de remise au serveur du destinataire, exactement tel "
      "que vous l’avez écrit."}},
    {"t.solved-next",
     {"You need not do anything more. Your next messages pass directly. You "
      "can close this page.",
      "Vous n’avez plus rien à faire. Vos prochains messages passeront "
      "directement. Vous pouvez fermer cette page."}},
    {"t.already-title", {"This was done already", "C’est déjà fait"}},
    {"t.already-lead",
     {"The question was answered before, and your message was released then.",
      "La question a déjà reçu sa réponse, et votre message a été libéré à ce "
      "moment-là."}},
    {"t.already-next",
     {"You need not do anything more. You can close this page.",
      "Vous n’avez plus rien à faire. Vous pouvez fermer cette page."}},
    {"t.expired-title",
     {"This link is no longer valid", "Ce lien n’est plus valable"}},
    {"t.expired-lead",
     {"Its time is over. The recipient may still find your message among "
      "those that wait, but this page cannot deliver it any more.",
      "Son délai est passé. Le destinataire peut encore trouver votre "
      "message parmi ceux qui attendent, mais cette page ne peut plus le "
      "remettre."}},
    {"t.expired-next",
     {"If it still matters, send your message again: you will get a new "
      "link. Or tell the recipient another way.",
      "S’il compte encore, renvoyez votre message" NB ": vous recevrez un "
      "nouveau lien. Ou prévenez le destinataire par un autre moyen."}},
    {"t.blocked-title", {"Too many wrong answers", "Trop de réponses fausses"}},
    {"t.blocked-lead",
     {"To keep machines from guessing, this link takes no more answers. Your "
      "message is not lost: it goes on waiting for the recipient.",
      "Pour que des machines ne puissent pas deviner, ce lien n’accepte plus "
      "de réponse. Votre message n’est pas perdu" NB ": il continue "
      "d’attendre le destinataire."}},
    {"t.blocked-next",
     {"Tell the recipient another way, by telephone for instance, that a "
      "message from you is waiting: the recipient can release it.",
      "Dites au destinataire par un autre moyen, par téléphone par exemple, "
      "qu’un message de vous attend" NB ": il peut le libérer."}},
    {"t.unknown-title",
     {"This link is not known here", "Ce lien n’est pas connu ici"}},
    {"t.unknown-lead",
     {"Perhaps it was cut when it was copied. Please use the whole link of "
      "the mail that you received.",
      "Il a peut-être été coupé lors de la copie. Utilisez le lien entier du "
      "courriel que vous avez reçu."}},
    {"t.unknown-next",
     {"If you came here by chance, there is nothing to do.",
      "Si vous êtes ici par hasard, il n’y a rien à faire."}},
    {"t.trouble-title",
     {"This does not work just now", "Cela ne fonctionne pas pour l’instant"}},
    {"t.trouble-lead",
     {"The fault is ours. Your message is safe, and nothing that you did is "
      "lost.",
      "La faute est de notre côté. Votre message est en sûreté et rien de ce "
      "que vous avez fait n’est perdu."}},
    {"t.trouble-next",
     {"Please try again in a minute.", "Veuillez réessayer dans une minute."}},
    {"t.retry", {"Try again", "Réessayer"}},

    {"m.subject",
     {"Your message to {{recipient}} is waiting for one step",
      "Votre message à {{recipient}} attend une confirmation"}},
    {"m.hint", {"(English text below)", "(texte français plus bas)"}},
    {"m.hello", {"Hello,", "Bonjour,"}},
    {"m.lead",
     {"A message from your address arrived here. It is kept safe and has not "
      "been delivered yet:",
      "Un message envoyé depuis votre adresse est arrivé ici. Il est en "
      "sûreté et n’a pas encore été remis" NB ":"}},
    {"m.from", {"From", "De"}},
    {"m.to", {"To", "À"}},
    {"m.subject-label", {"Subject", "Objet"}},
    {"m.sent", {"Arrived", "Arrivé"}},
    {"m.colon", {":", NB ":"}},
    {"m.ask",
     {"Your address is not known yet at {{domain}}, which asks every new "
      "correspondent, once, to show that a person wrote. Open this page and "
      "type the six characters it shows:",
      "Votre adresse n’est pas encore connue de {{domain}}, qui demande une "
      "fois à chaque nouveau correspondant de montrer qu’une personne a "
      "écrit. Ouvrez cette page et saisissez les six caractères affichés" NB
      ":"}},
    {"m.button", {"Deliver my message", "Remettre mon message"}},
    {"m.or-link",
     {"Or copy this address into your browser:",
      "Ou copiez cette adresse dans votre navigateur" NB ":"}},
    {"m.after",
     {"Your message is then delivered unchanged, and your next ones pass "
      "directly. The link works until {{expires}}.",
      "Votre message est alors remis tel quel, et les suivants passent "
      "directement. Le lien est valable jusqu’au {{expires}}."}},
    {"m.not-me",
     {"If you did not write this message, someone else used your address: "
      "please ignore this mail. Nothing is delivered then, and you get no "
      "second one for it.",
      "Si vous n’avez pas écrit ce message, quelqu’un d’autre s’est servi de "
      "votre adresse" NB ": ignorez ce courriel. Rien ne sera remis et vous "
      "n’en recevrez pas d’autre à ce sujet."}},
    {"m.safe",
     {"We never ask for a password, a payment or personal data. In doubt, "
      "ask the person you wrote to: they can release your message as well.",
      "Nous ne demandons jamais de mot de passe, de paiement ni de données "
      "personnelles. En cas de doute, demandez à la personne à qui vous avez "
      "écrit" NB ": elle peut aussi libérer votre message."}},
    {"m.auto",
     {"This mail was written by a machine, as an answer to yours.",
      "Ce courriel a été écrit par une machine, en réponse au vôtre."}},
};

const char *text_find(enum text_language language, const char *name)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (strcmp(rows[i].name, name) == 0)
			return rows[i].text[language];
	return NULL;
}
